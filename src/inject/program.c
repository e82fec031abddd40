/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "elf.h"
#include "script.h"
#include "wrapper.h"

/* exec_binprm() in fs/exec.c: a script whose interpreter is a script, and so on. */
#define SCRIPT_DEPTH_MAX 5

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ------------------------------------------------------------------------------ finding it */

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* 0 or -errno. */
static int try_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR; /* of execve() EACCES, which says less */
	/* The effective user counts, as for execve(). */
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/*
 * As shells and execvp(): the first that can be executed. One that is there and cannot is
 * remembered; what lies in a directory that cannot be searched is not there, nor is a directory a
 * command.
 */
static int find_on_path(const char *name, char ret[PATH_MAX])
{
	const char *path = getenv("PATH");
	bool denied = false;

	/* An empty element, also the whole of an empty PATH, is the working directory. */
	for (const char *at = path ? path : "/bin:/usr/bin", *next; at; at = next) {
		size_t len = strcspn(at, ":");
		char candidate[PATH_MAX];
		int n, r;

		next = at[len] ? at + len + 1 : NULL;
		n = snprintf(candidate, sizeof(candidate), "%.*s%s%s", (int)len, at, len ? "/" : "",
			     name);
		if (n < 0 || (size_t)n >= sizeof(candidate))
			continue;
		r = try_path(candidate);
		if (r == 0) {
			memcpy(ret, candidate, (size_t)n + 1);
			return 0;
		}
		denied |= r == -EACCES && is_file(candidate);
	}
	return denied ? -EACCES : -ENOENT;
}

static int find(const char *name, char ret[PATH_MAX])
{
	size_t len = strlen(name);
	int r;

	if (len == 0)
		return -ENOENT;
	if (!strchr(name, '/'))
		return find_on_path(name, ret);
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	r = try_path(name);
	if (r == 0)
		memcpy(ret, name, len + 1);
	return r;
}

/* ------------------------------------------------------------------------------ judging it */

/* Would the kernel start the file with AT_SECURE? security/commoncap.c cap_bprm_creds_from_file().
 */
static bool gains_privileges(const char *path)
{
	struct statvfs fs;
	struct stat st;
	char caps[64];

	if (stat(path, &st) < 0 || statvfs(path, &fs) < 0)
		return false;
	if (fs.f_flag & ST_NOSUID || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if (st.st_mode & S_ISUID && st.st_uid != getuid())
		return true;
	if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid())
		return true;
	return getuid() != 0 && getxattr(path, "security.capability", caps, sizeof(caps)) > 0;
}

static bool read_file(void *userdata, uint64_t offset, void *buf, size_t size)
{
	if (offset > INT64_MAX)
		return false;
	return pread(*(const int *)userdata, buf, size, (off_t)offset) == (ssize_t)size;
}

/* The one that started tcpkeep itself: the preload library was built with it. */
static int own_elf(struct elf *ret)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : elf_parse(read_file, &fd, ret);
}

static bool same_file(const char *a, const char *b)
{
	struct stat st_a, st_b;

	return stat(a, &st_a) == 0 && stat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

static enum program_verdict fail(struct program *program, int r)
{
	program->error = -r;
	return r == -ENOENT || r == -ENOTDIR ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE;
}

/* Without descriptors or memory nothing can be judged, and a guess would be a miss unsaid. */
static bool is_short(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static bool is_glibc(const struct elf *elf)
{
	return strncmp(base_name(elf->interp), "ld-linux", 8) == 0 ||
	       strncmp(base_name(elf->interp), "ld64.so", 7) == 0;
}

static bool is_musl(const struct elf *elf)
{
	return strncmp(base_name(elf->interp), "ld-musl-", 8) == 0;
}

static enum program_verdict judge_elf(const struct elf *elf, struct program *program)
{
	static struct elf own; /* PATH_MAX is much for a stack */
	int r = own_elf(&own);

	if (r < 0)
		return is_short(r) ? fail(program, r) : PROGRAM_FITS;
	if (elf->class != own.class || elf->machine != own.machine || elf->data != own.data)
		return PROGRAM_OTHER_MACHINE;
	if (elf->go)
		return PROGRAM_GO;
	if (elf->interp[0] == '\0') {
		/* The loader itself, run as a program, does read LD_PRELOAD. */
		return same_file(program->path, own.interp) ? PROGRAM_FITS : PROGRAM_STATIC;
	}
	/* Two installations of one C library (a Nix store, a Snap) differ in the directory alone.
	 * The library of a glibc serves programs of musl as well, whose loader takes libc.so.6 for
	 * itself; a glibc finds no libc.so of musl. */
	if (own.interp[0] && strcmp(base_name(elf->interp), base_name(own.interp)) != 0 &&
	    !(is_glibc(&own) && is_musl(elf))) {
		snprintf(program->detail, sizeof(program->detail), "%s", elf->interp);
		return PROGRAM_OTHER_LIBC;
	}
	return PROGRAM_FITS;
}

/* --------------------------------------------------------------------------- interpreters */

/* What a command line comes to. Notes what takes LD_PRELOAD away on the way. */
static char *const *behind_wrappers(char *const argv[], struct wrapper_words *words,
				    struct program *program)
{
	argv = wrapper_command(argv, words);
	if (!program->drops_environment)
		program->drops_environment = wrapper_drops_environment(argv);
	return argv;
}

/* What runs a script: its interpreter, or what env(1) will find. */
static int find_interpreter(const struct script *script, struct program *program)
{
	char env[] = "env", *argv[] = {env, script->argument, NULL};
	const char *next = script->interpreter;
	struct wrapper_words words;
	int r;

	if (script->argument && strcmp(base_name(script->interpreter), env) == 0) {
		char *const *behind = behind_wrappers(argv, &words, program);

		if (*behind != env)
			next = *behind;
	}
	r = find(next, program->path);
	if (r < 0)
		snprintf(program->path, sizeof(program->path), "%s", next);
	return r;
}

static enum program_verdict judge(struct program *program, unsigned depth)
{
	_cleanup_close_ int fd = open(program->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char start[SCRIPT_LINE_MAX];
	static struct elf elf;
	struct script script;
	ssize_t n;
	int r;

	/* It may be executed and not read: then the kernel knows more than we do. */
	if (fd < 0 && is_short(-errno))
		return fail(program, -errno);
	if (fd < 0)
		return gains_privileges(program->path) ? PROGRAM_PRIVILEGED : PROGRAM_FITS;
	n = pread(fd, start, sizeof(start), 0);
	if (n > 0 && script_parse(start, (size_t)n, &script)) {
		if (depth >= SCRIPT_DEPTH_MAX)
			return fail(program, -ELOOP);
		/* The kernel ignores the privileges of a script: only its interpreter's count. */
		r = find_interpreter(&script, program);
	} else if (gains_privileges(program->path)) {
		return PROGRAM_PRIVILEGED;
	} else if (elf_parse(read_file, &fd, &elf) == 0) {
		return judge_elf(&elf, program);
	} else if (depth == 0 && n >= 0 && script_is_for_shell(start, (size_t)n)) {
		program->for_shell = true;
		r = find("/bin/sh", program->path);
	} else if (depth == 0) {
		return PROGRAM_FITS; /* binfmt_misc may know it; otherwise execve() will say so */
	} else {
		return fail(program, -ENOEXEC);
	}
	return r < 0 ? fail(program, r) : judge(program, depth + 1);
}

int program_execute(const struct program *program, char *const argv[])
{
	execv(program->command, argv);
	if (errno == ENOEXEC && program->for_shell)
		execvp(argv[0], argv);
	return -errno;
}

void program_inspect(char *const argv[], struct program *ret)
{
	struct wrapper_words words;
	char *const *behind;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = find(argv[0], ret->command);
	if (r == 0) {
		behind = behind_wrappers(argv, &words, ret);
		/* Not there: a program that only has the name of a wrapper, or this says so itself.
		 */
		if (find(behind[0], ret->path) == 0)
			argv = behind;
		else
			r = find(argv[0], ret->path);
	}
	if (r < 0) {
		snprintf(ret->command, sizeof(ret->command), "%s", argv[0]);
		snprintf(ret->path, sizeof(ret->path), "%s", argv[0]);
		ret->verdict = fail(ret, r);
		return;
	}
	ret->verdict = judge(ret, 0);
	ret->starts_others = wrapper_starts_others(argv[0]) || wrapper_starts_others(ret->path);
}
