/* SPDX-License-Identifier: MIT */
/* Which programs the preload library gets into: real files, made by real compilers, and broken
 * ones. */
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "inject/elf.h"
#include "inject/program.h"
#include "inject/wrapper.h"
#include "unit/unit.h"

static char scratch[64];

/* A path in the scratch directory; of the last four that were asked for. */
static const char *path_of(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

static const char *write_file(const char *name, mode_t mode, const void *data, size_t size)
{
	const char *path = path_of(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static const char *write_script(const char *name, const char *text)
{
	return write_file(name, 0755, text, strlen(text));
}

static enum program_verdict inspect(const char *const *argv, struct program *ret)
{
	program_inspect((char *const *)argv, ret);
	return ret->verdict;
}

static enum program_verdict inspect_one(const char *path)
{
	static struct program program;
	const char *argv[] = {path, NULL};

	return inspect(argv, &program);
}

/* False where the compiler is not there. */
static bool compile(const char *command, const char *name)
{
	char line[512];

	write_file("a.c", 0644, "int main(void) { return 0; }\n", 29);
	snprintf(line, sizeof(line), "cd %s && %s -o %s a.c >/dev/null 2>&1", scratch, command,
		 name);
	return system(line) == 0;
}

static void test_dynamic(void **state)
{
	static struct program program;
	const char *argv[] = {"cat", NULL};

	(void)state;
	assert_int_equal(inspect(argv, &program), PROGRAM_FITS);
	assert_int_equal(program.path[0], '/');
	assert_int_equal(inspect_one("/proc/self/exe"), PROGRAM_FITS);
}

static void test_static(void **state)
{
	(void)state;
	if (!compile("cc -static", "static"))
		skip();
	assert_int_equal(inspect_one(path_of("static")), PROGRAM_STATIC);
	if (compile("cc -static-pie", "static-pie"))
		assert_int_equal(inspect_one(path_of("static-pie")), PROGRAM_STATIC);
}

static void test_musl(void **state)
{
	static struct program program;
	const char *argv[] = {path_of("musl"), NULL};

	(void)state;
	if (!compile("musl-gcc", "musl"))
		skip();
	/* Whether it works is shown where it is run: run.bats, tests/outside. */
	assert_int_equal(inspect(argv, &program), PROGRAM_FITS);
}

/* A loader of which nobody has heard. */
static void test_unknown_loader(void **state)
{
	static struct program program;
	const char *argv[] = {path_of("odd"), NULL};

	(void)state;
	/* The linker writes any name; the program is not run. */
	if (!compile("cc -Wl,--dynamic-linker=/lib/ld-odd.so.1", "odd"))
		skip();
	assert_int_equal(inspect(argv, &program), PROGRAM_OTHER_LIBC);
	assert_non_null(strstr(program.detail, "ld-odd"));
}

static void test_go(void **state)
{
	static struct program program;
	const char *argv[] = {"go", NULL};

	(void)state;
	if (inspect(argv, &program) == PROGRAM_NOT_FOUND)
		skip();
	assert_int_equal(program.verdict, PROGRAM_GO);
}

static void test_not_found(void **state)
{
	static struct program program;
	const char *relative[] = {"tcpkeep-no-such-program", NULL};

	(void)state;
	assert_int_equal(inspect(relative, &program), PROGRAM_NOT_FOUND);
	assert_int_equal(inspect_one("/nonexistent/a"), PROGRAM_NOT_FOUND);
	assert_int_equal(inspect_one(""), PROGRAM_NOT_FOUND);
	assert_int_equal(inspect_one("/"), PROGRAM_NOT_EXECUTABLE);
	assert_int_equal(inspect_one(write_file("plain", 0644, "x", 1)), PROGRAM_NOT_EXECUTABLE);
	assert_int_equal(inspect_one(write_script("lost", "#!/nonexistent/interpreter\n")),
			 PROGRAM_NOT_FOUND);
}

/* As execvp(): the first that may be executed, an empty part is the current directory. */
static void test_path(void **state)
{
	_cleanup_free_ char *before = strdup(getenv("PATH"));
	static struct program program;
	static const char *const with_empty_part[] = {
		"/nonexistent:", ":/nonexistent", "/nonexistent::/nonexistent", "::", ":", ""};
	const char *argv[] = {"found-on-path", NULL};
	const char *missing[] = {"tcpkeep-no-such-program", NULL};
	char cwd[1024], path[256];

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(mkdir(path_of("one"), 0755), 0);
	assert_int_equal(mkdir(path_of("two"), 0755), 0);
	write_file("one/found-on-path", 0644, "x", 1);
	snprintf(path, sizeof(path), "/nonexistent:%s/one", scratch);
	setenv("PATH", path, 1);
	assert_int_equal(inspect(argv, &program), PROGRAM_NOT_EXECUTABLE);

	write_script("two/found-on-path", "#!/bin/sh\n");
	snprintf(path, sizeof(path), "/nonexistent:%s/one:%s/two", scratch, scratch);
	setenv("PATH", path, 1);
	assert_int_equal(inspect(argv, &program), PROGRAM_FITS);
	assert_string_equal(program.command, path_of("two/found-on-path"));

	assert_int_equal(chdir(path_of("two")), 0);
	for (size_t i = 0; i < ARRAY_SIZE(with_empty_part); i++) {
		setenv("PATH", with_empty_part[i], 1);
		assert_int_equal(inspect(argv, &program), PROGRAM_FITS);
		assert_int_equal(inspect(missing, &program), PROGRAM_NOT_FOUND);
	}
	snprintf(path, sizeof(path), ":/nonexistent::%s/two", scratch);
	setenv("PATH", path, 1);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(inspect(argv, &program), PROGRAM_FITS);
	assert_int_equal(chdir(cwd), 0);
	setenv("PATH", before, 1);
}

static void test_scripts(void **state)
{
	char line[256];

	(void)state;
	assert_int_equal(inspect_one(write_script("sh", "#!/bin/sh\nexit 0\n")), PROGRAM_FITS);
	assert_int_equal(inspect_one(write_script("blanks", "#! \t/bin/sh  -e \n")), PROGRAM_FITS);
	assert_int_equal(inspect_one(write_script("none", "exit 0\n")), PROGRAM_FITS);
	assert_int_equal(inspect_one(write_script("env", "#!/usr/bin/env sh\n")), PROGRAM_FITS);
	assert_int_equal(inspect_one(write_script("env-lost", "#!/usr/bin/env tcpkeep-no-such\n")),
			 PROGRAM_NOT_FOUND);
	assert_int_equal(inspect_one(write_script("env-s", "#!/usr/bin/env -S A=b sh -e\n")),
			 PROGRAM_FITS);
	if (!compile("cc -static", "static"))
		skip();
	snprintf(line, sizeof(line), "#!%s/static\n", scratch);
	assert_int_equal(inspect_one(write_script("by-static", line)), PROGRAM_STATIC);
	snprintf(line, sizeof(line), "#!%s/by-static\n", scratch);
	assert_int_equal(inspect_one(write_script("by-script", line)), PROGRAM_STATIC);
	snprintf(line, sizeof(line), "#!/usr/bin/env %s/static\n", scratch);
	assert_int_equal(inspect_one(write_script("env-static", line)), PROGRAM_STATIC);
	snprintf(line, sizeof(line), "#!/usr/bin/env -S A=b %s/static x\n", scratch);
	assert_int_equal(inspect_one(write_script("env-s-static", line)), PROGRAM_STATIC);
	snprintf(line, sizeof(line), "#!/usr/bin/env -S nice -n 5 %s/static\n", scratch);
	assert_int_equal(inspect_one(write_script("env-s-nice", line)), PROGRAM_STATIC);
	/* Without -S all of it is one name. */
	snprintf(line, sizeof(line), "#!/usr/bin/env sh -e\n");
	assert_int_equal(inspect_one(write_script("env-one", line)), PROGRAM_NOT_FOUND);
	snprintf(line, sizeof(line), "#!%s/loop\n", scratch);
	assert_int_equal(inspect_one(write_script("loop", line)), PROGRAM_NOT_EXECUTABLE);
}

/* The depth at which the kernel gives up is the kernel's to say. */
static void test_script_depth(void **state)
{
	(void)state;
	for (int depth = 1; depth <= 7; depth++) {
		char name[16], line[256], command[256];
		enum program_verdict verdict;
		bool runs;

		snprintf(name, sizeof(name), "depth%d", depth);
		if (depth == 1)
			snprintf(line, sizeof(line), "#!/bin/true\n");
		else
			snprintf(line, sizeof(line), "#!%s/depth%d\n", scratch, depth - 1);
		verdict = inspect_one(write_script(name, line));
		snprintf(command, sizeof(command), "env %s/%s >/dev/null 2>&1", scratch, name);
		runs = system(command) == 0;
		if (runs != (verdict == PROGRAM_FITS))
			fail_msg("%d scripts deep: the kernel says %d, verdict %d", depth, runs,
				 verdict);
	}
}

static void test_env(void **state)
{
	static struct program program;
	const char *lost[] = {"env", "A=b", "tcpkeep-no-such-program", NULL};
	const char *found[] = {"env", "A=b", "C=d", "cat", NULL};
	const char *options[] = {"env", "-i", "tcpkeep-no-such-program", NULL};
	const char *alone[] = {"env", NULL};
	const char *script[] = {write_script("env-i", "#!/usr/bin/env -S -i A=b cat\n"), NULL};

	(void)state;
	/* Which env will say. */
	assert_int_equal(inspect(lost, &program), PROGRAM_FITS);
	assert_non_null(strstr(program.path, "/env"));
	assert_int_equal(inspect(found, &program), PROGRAM_FITS);
	assert_non_null(strstr(program.path, "cat"));
	assert_null(program.drops_environment);
	assert_int_equal(inspect(options, &program), PROGRAM_FITS);
	assert_string_equal(program.drops_environment, "env -i");
	assert_int_equal(inspect(alone, &program), PROGRAM_FITS);
	assert_null(program.drops_environment);
	assert_int_equal(inspect(script, &program), PROGRAM_FITS);
	assert_string_equal(program.drops_environment, "env -i");
}

/* A program of one's own that has the name of one of them. */
static void test_name_of_wrapper(void **state)
{
	static struct program program;
	const char *time[] = {write_script("time", "#!/bin/cat\n"), "alpha", "beta", NULL};
	const char *ionice[] = {"ionice", "-p", "1", NULL};

	(void)state;
	assert_int_equal(inspect(time, &program), PROGRAM_FITS);
	assert_non_null(strstr(program.path, "/cat"));
	assert_int_equal(inspect(ionice, &program), PROGRAM_FITS);
	assert_non_null(strstr(program.path, "/ionice"));
}

static void test_drops_environment(void **state)
{
	static const struct {
		const char *argv[6];
		const char *word; /* NULL: the environment stays */
	} cases[] = {
		{{"sudo", "-u", "nobody", "cat"}, "sudo"},
		{{"nice", "/usr/bin/sudo", "cat"}, "sudo"},
		{{"doas", "cat"}, "doas"},
		{{"env", "-u", "A", "-i", "cat"}, "env -i"},
		{{"env", "-u", "-i", "cat"}, NULL},
		{{"env", "-vi", "cat"}, "env -i"},
		{{"env", "--ignore-environment", "cat"}, "env -i"},
		{{"env", "-u", "LD_PRELOAD", "cat"}, "env -u LD_PRELOAD"},
		{{"env", "-uLD_PRELOAD", "cat"}, "env -u LD_PRELOAD"},
		{{"env", "-v", "--unset=LD_PRELOAD", "cat"}, "env -u LD_PRELOAD"},
		{{"env", "--unset", "LD_PRELOAD", "cat"}, "env -u LD_PRELOAD"},
		{{"env", "A=b", "LD_PRELOAD=", "cat"}, "env LD_PRELOAD=..."},
		{{"env", "--", "LD_PRELOAD=x", "cat"}, "env LD_PRELOAD=..."},
		{{"nice", "env", "-u", "LD_PRELOAD", "cat"}, "env -u LD_PRELOAD"},
		{{"env", "-u", "LD_PRELOADED", "cat"}, NULL},
		{{"env", "-C", "LD_PRELOAD", "cat"}, NULL},
		{{"env", "--chdir", "LD_PRELOAD", "cat"}, NULL},
		{{"env", "-u"}, NULL},
		{{"env", "--unset"}, NULL},
		{{"env", "cat", "-i"}, NULL},
		{{"env", "cat", "LD_PRELOAD=x"}, NULL},
		{{"env", "-v", "-i", "cat"}, "env -i"},
		{{"env", "-", "cat"}, "env -i"},
		{{"env", "-S", "-i cat"}, "env -i"},
		{{"env", "-S-u LD_PRELOAD", "cat"}, "env -u LD_PRELOAD"},
		{{"nice", "env", "--split-string=A=b -vi", "cat"}, NULL},
		{{"env", "--split-string", "-v LD_PRELOAD= cat"}, "env LD_PRELOAD=..."},
		{{"env", "-S", "A=b sudo cat"}, "sudo"},
		{{"env", "-S", "'-i' cat"}, NULL},
		{{"env", "-S"}, NULL},
		{{"su", "-", "nobody"}, "su -"},
		{{"su", "--login", "nobody"}, "su -"},
		{{"su", "nobody", "-s", "/bin/cat"}, NULL},
		{{"runuser", "-l", "nobody"}, "runuser -l"},
		{{"runuser", "-u", "nobody", "cat"}, NULL},
		{{"setpriv", "--reset-env", "cat"}, "setpriv --reset-env"},
		{{"sudo"}, NULL},
		{{"cat", "sudo"}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wrapper_words words;
		char *const *argv =
			wrapper_command((char *const *)(uintptr_t)cases[i].argv, &words);
		const char *word = wrapper_drops_environment(argv);

		if (cases[i].word)
			assert_string_equal(word, cases[i].word);
		else
			assert_null(word);
	}
}

/* What stands in front of a command is looked through where it is plain. */
static void test_wrappers(void **state)
{
	static const struct {
		const char *argv[9];
		bool starts_others;
	} cases[] = {
		{{"cat"}, false},
		{{"nice", "cat"}, false},
		{{"nice", "-n", "5", "cat"}, false},
		{{"timeout", "-k", "1", "--signal=KILL", "5", "cat", "-"}, false},
		{{"timeout", "5", "env", "A=b", "nohup", "--", "cat"}, false},
		{{"sh", "-c", "cat"}, true},
		{{"nice", "sh", "-c", "cat"}, true},
		{{"env", "-u", "A", "cat"}, true},
		{{"env", "PATH=/nonexistent", "cat"}, true},
		{{"env", "LD_PRELOAD=", "cat"}, true},
		{{"nice", "--adjustment", "5", "cat"}, true},
		{{"nice", "-n"}, true},
		{{"timeout", "5"}, true},
		{{"env"}, true},
	};
	static struct program program;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(inspect(cases[i].argv, &program), PROGRAM_FITS);
		assert_int_equal(program.starts_others, cases[i].starts_others);
	}
}

/* Needs root to make such a file, and another user to run it: in a child. */
static void test_privileged(void **state)
{
	const char *path = path_of("setuid");
	unsigned char caps[20] = {0, 0, 0, 2, 0, 4}; /* VFS_CAP_REVISION_2, CAP_NET_BIND_SERVICE */
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0 || !compile("cc", "setuid") || !compile("cc", "capable"))
		skip();
	assert_int_equal(chmod(path, 04755), 0);
	assert_int_equal(chmod(scratch, 0755), 0);
	/* Root runs root's own: nothing is gained. */
	assert_int_equal(inspect_one(path), PROGRAM_FITS);
	bool has_caps =
		setxattr(path_of("capable"), "security.capability", caps, sizeof(caps), 0) == 0;

	pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		if (inspect_one(path) != PROGRAM_PRIVILEGED)
			_exit(2);
		if (has_caps && inspect_one(path_of("capable")) != PROGRAM_PRIVILEGED)
			_exit(3);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || inspect_one(path) != PROGRAM_FITS)
			_exit(4);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
	assert_int_equal(chmod(path, 04755), 0);
	assert_int_equal(inspect_one(path), PROGRAM_PRIVILEGED);
}

/* ---------------------------------------------------------------------------- broken files */

struct bytes {
	const unsigned char *data;
	size_t size;
};

static bool read_bytes(void *userdata, uint64_t offset, void *buf, size_t size)
{
	const struct bytes *bytes = userdata;

	if (offset > bytes->size || size > bytes->size - offset)
		return false;
	memcpy(buf, bytes->data + offset, size);
	return true;
}

static struct bytes read_whole(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned char *data = malloc(1 << 16);
	size_t size;

	assert_non_null(f);
	assert_non_null(data);
	size = fread(data, 1, 1 << 16, f);
	fclose(f);
	return (struct bytes){data, size};
}

static void test_cut_short(void **state)
{
	struct bytes whole = read_whole("/proc/self/exe");
	static struct elf elf;

	(void)state;
	assert_int_equal(elf_parse(read_bytes, &whole, &elf), 0);
	assert_int_not_equal(elf.interp[0], '\0');
	assert_false(elf.go);
	for (size_t size = 0; size < sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr); size++) {
		struct bytes cut = {whole.data, size};

		assert_int_equal(elf_parse(read_bytes, &cut, &elf), -ENOEXEC);
	}
	free((void *)whole.data);
}

/* Every byte of the headers, every value that tends to break things: an answer, and a loader that
 * ends. */
static void test_corrupt(void **state)
{
	static const unsigned char values[] = {0, 1, 2, 4, 7, 0x7f, 0x80, 0xff};
	struct bytes whole = read_whole("/proc/self/exe");
	unsigned char *data = (unsigned char *)whole.data;
	static struct elf elf;
	size_t end = MIN(whole.size, (size_t)2048);

	(void)state;
	for (size_t i = 0; i < end; i++)
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			unsigned char was = data[i];
			int r;

			data[i] = values[v];
			r = elf_parse(read_bytes, &whole, &elf);
			assert_true(r == 0 || r == -ENOEXEC);
			assert_non_null(memchr(elf.interp, '\0', sizeof(elf.interp)));
			data[i] = was;
		}
	free(data);
}

/* A big-endian 32-bit program with an interpreter, made by hand: another machine's, read all the
 * same. */
static void test_other_byte_order(void **state)
{
	struct {
		Elf32_Ehdr header;
		Elf32_Phdr interp;
		char loader[16];
	} file = {
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2MSB, 1},
			   .e_type = htobe16(ET_EXEC),
			   .e_machine = htobe16(EM_PPC),
			   .e_phoff = htobe32(sizeof(Elf32_Ehdr)),
			   .e_phentsize = htobe16(sizeof(Elf32_Phdr)),
			   .e_phnum = htobe16(1)},
		.interp = {.p_type = htobe32(PT_INTERP),
			   .p_offset = htobe32(sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr)),
			   .p_filesz = htobe32(11)},
		.loader = "/lib/ld.so",
	};
	struct bytes bytes = {(unsigned char *)&file, sizeof(file)};
	static struct elf elf;

	(void)state;
	assert_int_equal(elf_parse(read_bytes, &bytes, &elf), 0);
	assert_int_equal(elf.machine, EM_PPC);
	assert_string_equal(elf.interp, "/lib/ld.so");
	assert_int_equal(inspect_one(write_file("ppc", 0755, &file, sizeof(file))),
			 PROGRAM_OTHER_MACHINE);
}

static int make_scratch(void **state)
{
	(void)state;
	snprintf(scratch, sizeof(scratch), "/tmp/tcpkeep-program-XXXXXX");
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
	char line[128];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf '%s'", scratch);
	return system(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dynamic),
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_musl),
		cmocka_unit_test(test_unknown_loader),
		cmocka_unit_test(test_drops_environment),
		cmocka_unit_test(test_go),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_script_depth),
		cmocka_unit_test(test_env),
		cmocka_unit_test(test_name_of_wrapper),
		cmocka_unit_test(test_wrappers),
		cmocka_unit_test(test_privileged),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_other_byte_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("program", tests, make_scratch, remove_scratch);
}
