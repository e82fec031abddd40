/* SPDX-License-Identifier: MIT */
#include "holder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/unit.h"

struct holder holder_start(const char *name, void (*do_this)(void *userdata), void *userdata)
{
	int orders[2], answers[2];
	struct holder holder;
	char byte;

	assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
	assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
	holder = (struct holder){fork(), orders[1], answers[0]};
	if (holder.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		close(orders[1]);
		while (write(answers[1], "", 1) == 1 && read(orders[0], &byte, 1) == 1)
			if (do_this)
				do_this(userdata);
		_exit(0);
	}
	assert_true(holder.pid > 0);
	close(orders[0]);
	close(answers[1]);
	assert_int_equal(read(holder.answer, &byte, 1), 1);
	return holder;
}

void holder_order(struct holder *holder)
{
	char byte;

	assert_int_equal(write(holder->order, "", 1), 1);
	assert_int_equal(read(holder->answer, &byte, 1), 1);
}

void holder_end(struct holder *holder)
{
	/* An end of the pipe will not do: holders that were started later hold it as well. */
	kill(holder->pid, SIGKILL);
	close(holder->order);
	close(holder->answer);
	assert_int_equal(waitpid(holder->pid, NULL, 0), holder->pid);
}
