/* SPDX-License-Identifier: MIT */
#include "svg.h"

static void write_escaped(FILE *file, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '&':
			fputs("&amp;", file);
			break;
		default:
			putc(*text, file);
		}
	}
}

void svg_begin(FILE *file, unsigned width, unsigned height, const char *title)
{
	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" role=\"img\" "
		"font-family=\"'DejaVu Sans', Verdana, sans-serif\">\n<title>",
		width, height, width, height);
	write_escaped(file, title);
	fprintf(file, "</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
}

void svg_end(FILE *file)
{
	fputs("</svg>\n", file);
}

void svg_line(FILE *file, double x1, double y1, double x2, double y2, const char *colour,
	      double width)
{
	fprintf(file,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
		"stroke-width=\"%.1f\" stroke-linecap=\"round\"/>\n",
		x1, y1, x2, y2, colour, width);
}

void svg_rect(FILE *file, double x, double y, double width, double height, const char *colour,
	      double opacity)
{
	fprintf(file,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"3\" fill=\"%s\" "
		"fill-opacity=\"%.2f\"/>\n",
		x, y, width, height, colour, opacity);
}

void svg_circle(FILE *file, double x, double y, double radius, const char *colour)
{
	fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", x, y, radius,
		colour);
}

void svg_cross(FILE *file, double x, double y, double radius, const char *colour)
{
	svg_line(file, x - radius, y - radius, x + radius, y + radius, colour, 3);
	svg_line(file, x - radius, y + radius, x + radius, y - radius, colour, 3);
}

void svg_text(FILE *file, double x, double y, enum svg_anchor anchor, unsigned size,
	      const char *weight, const char *colour, const char *text)
{
	static const char *const anchors[] = {"start", "middle", "end"};

	fprintf(file,
		"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%u\" font-weight=\"%s\" "
		"fill=\"%s\">",
		x, y, anchors[anchor], size, weight, colour);
	write_escaped(file, text);
	fputs("</text>\n", file);
}
