/* SPDX-License-Identifier: MIT */
/* A line of /proc/PID/mountinfo: what is mounted where. */
#pragma once

/* Pointers into the line. */
struct mountinfo {
	const char
		*root; /* the part of the file system that is seen there; of nsfs "net:[INODE]" */
	const char *point; /* where */
};

/*
 * Takes a line apart, in place, when the file system is of that type ("cgroup2"): proc(5). 0;
 * -ENOENT when it is another or the line is none of mountinfo.
 */
int mountinfo_parse(char *line, const char *type, struct mountinfo *ret);
