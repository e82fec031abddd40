/* SPDX-License-Identifier: MIT */
/* A few SVG shapes, written as they come. Errors stay in the FILE: ferror(). Lengths are pixels. */
#pragma once

#include <stdio.h>

enum svg_anchor {
	SVG_START = 0,
	SVG_MIDDLE,
	SVG_END,
};

/* Opens the picture with a white ground. title is what a screen reader says. */
void svg_begin(FILE *file, unsigned width, unsigned height, const char *title);
void svg_end(FILE *file);

/* colour: any CSS colour that we write ourselves. */
void svg_line(FILE *file, double x1, double y1, double x2, double y2, const char *colour,
	      double width);
void svg_rect(FILE *file, double x, double y, double width, double height, const char *colour,
	      double opacity);
void svg_circle(FILE *file, double x, double y, double radius, const char *colour);
void svg_cross(FILE *file, double x, double y, double radius, const char *colour);

/* The text is escaped. weight: "normal" or "bold". */
void svg_text(FILE *file, double x, double y, enum svg_anchor anchor, unsigned size,
	      const char *weight, const char *colour, const char *text);
