/* SPDX-License-Identifier: MIT */
/*
 * The language of sysctl.d(5), as systemd-sysctl reads it (src/sysctl/sysctl.c, v252 to v258), as
 * far as it touches the three keepalive variables. Pure: text in, text out; any bytes may come.
 */
#pragma once

#include <tcpkeep.h>

/* Longer keys name nothing here. */
#define SYSCTL_CONF_KEY_MAX 256

/* One statement about at least one of the three variables. */
struct sysctl_conf_line {
	const char *text; /* the line in the file, len bytes, without its end */
	size_t len;
	size_t end_len;  /* of what ends it: newline, carriage return, NUL, a mixture; 0 at the end
			  */
	unsigned number; /* 1.. */

	/* Below: zero when the line says nothing of the three. */
	uint32_t fields;               /* the bits of TCPKEEP_THREE that the key names or matches */
	char key[SYSCTL_CONF_KEY_MAX]; /* with slashes, "net/ipv4/tcp_keepalive_time" */
	bool glob;                     /* a pattern: weaker than any key that is spelt out */
	bool tolerant;                 /* starts with '-' */
	const char *value;             /* NULL: "-key", which takes the key out of all patterns */
	size_t value_len;
};

struct sysctl_conf_reader {
	const char *at, *end;
	unsigned number;
};

void sysctl_conf_start(struct sysctl_conf_reader *reader, const char *text, size_t len);

/* The next line, whatever it says; false at the end. */
bool sysctl_conf_next(struct sysctl_conf_reader *reader, struct sysctl_conf_line *ret);

/* "net.ipv4.tcp_keepalive_time" for a single bit of TCPKEEP_THREE. Static. */
const char *sysctl_conf_key(uint32_t field);

/*
 * Makes a text set the fields of settings and leaves every other line as it is. 0: it says so
 * already; 1: *ret is the new text, the caller's to free; -ENOMEM; -EILSEQ: NUL bytes, which is not
 * our file.
 */
int sysctl_conf_edit(const char *text, size_t len, const struct tcpkeep_settings *settings,
		     char **ret, size_t *ret_len);
