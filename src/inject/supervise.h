/* SPDX-License-Identifier: MIT */
/* A child that is to look as if it were this process: signals, job control, exit status. */
#pragma once

struct supervise_with {
	int cgroup; /* a descriptor: the child starts inside; -1: in the caller's */
	/* Called in the child, to become the program; -errno when it cannot. */
	int (*execute)(void *userdata);
	int watched; /* a descriptor; -1: none */
	/* Called in this process while something is to be read from it. */
	void (*on_watched)(void *userdata);
	void *userdata;
};

/*
 * Executes a program in a child and stays until it ends. Signals sent to this process are passed
 * on, those of the terminal reach the child by themselves; when it stops, so does this process. The
 * child is killed when this process is. *ret_status is waitpid()'s. -errno: it could not be started
 * or executed; -ECHILD: not inside this cgroup.
 */
int supervise(const struct supervise_with *with, int *ret_status);

/* Ends this process the way the child ended: does not return. A core is dumped once, by the child.
 */
_Noreturn void supervise_end_as(int status);
