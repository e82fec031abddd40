/* SPDX-License-Identifier: MIT */
#include "policy-world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lab/lab.h"
#include "policy/policy-pins.h"
#include "sockets/mounts.h"
#include "unit/unit.h"

#define PINS "/sys/fs/bpf/tcpkeep"

struct world world;

static void move_to(const char *directory)
{
	char path[1024];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

static bool cannot(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	return false;
}

bool world_make(void)
{
	_cleanup_free_ char *mount_point = NULL;
	_cleanup_close_ int netns = -1;

	if (geteuid() != 0)
		return cannot("it takes root");
	if (mounts_find("cgroup2", &mount_point) < 0)
		return cannot("no cgroup2 here");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		return cannot("no mount namespace or bpffs of its own");
	netns = lab_netns_new(NULL);
	if (netns < 0 || setns(netns, CLONE_NEWNET) < 0)
		return cannot("no network namespace of its own");
	snprintf(world.cgroup, sizeof(world.cgroup), "/tcpkeep-test-%d", getpid());
	snprintf(world.directory, sizeof(world.directory), "%s%s", mount_point, world.cgroup);
	if (mkdir(world.directory, 0755) < 0)
		return cannot("no cgroup can be made");
	return true;
}

/* The cgroups, from the leaves up; what was in them has ended. */
static void remove_tree(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[1024];

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		remove_tree(path);
	}
	if (dir)
		closedir(dir);
	rmdir(directory);
}

void world_leave(void)
{
	policy_kernel_remove(NULL, true, NULL, NULL, NULL);
	remove_tree(world.directory);
}

static int get(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) < 0 ? -1 : value;
}

struct world_end world_read(int fd)
{
	return (struct world_end){
		get(fd, SOL_SOCKET, SO_KEEPALIVE),      get(fd, IPPROTO_TCP, TCP_KEEPIDLE),
		get(fd, IPPROTO_TCP, TCP_KEEPINTVL),    get(fd, IPPROTO_TCP, TCP_KEEPCNT),
		get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT),
	};
}

/* IPv4 addresses in an IPv6 socket come as ::ffff:a.b.c.d. */
static socklen_t parse_address(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
		memcpy(ret, &four, sizeof(four));
		return sizeof(four);
	}
	inet_pton(AF_INET6, text, &six.sin6_addr);
	memcpy(ret, &six, sizeof(six));
	return sizeof(six);
}

static struct world_pair connect_both(const struct world_subject *subject)
{
	struct world_pair pair = {0};
	struct sockaddr_storage address;
	socklen_t len = parse_address(subject->address ? subject->address : "127.0.0.1",
				      subject->port ? subject->port : WORLD_PORT, &address);
	const int one = 1;
	int listener = socket(address.ss_family, SOCK_STREAM, subject->protocol);
	int client = socket(address.ss_family, SOCK_STREAM, subject->protocol), accepted;

	pair.r = -1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listener < 0 || client < 0 || bind(listener, (struct sockaddr *)&address, len) < 0)
		goto failed;
	if (subject->before)
		subject->before(client, listener);
	if (listen(listener, 8) < 0 || connect(client, (struct sockaddr *)&address, len) < 0)
		goto failed;
	accepted = accept(listener, NULL, NULL);
	if (accepted < 0)
		goto failed;
	if (subject->after)
		subject->after(client, accepted);
	return (struct world_pair){world_read(client), world_read(accepted), 0};
failed:
	pair.r = -errno;
	return pair;
}

static void become(const struct world_subject *subject)
{
	char directory[512];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(directory, sizeof(directory), "%s%s%s", world.directory, subject->below ? "/" : "",
		 subject->below ? subject->below : "");
	for (char *at = directory + strlen(world.directory) + 1; subject->below && *at;) {
		at += strcspn(at, "/");
		if (*at) {
			*at = '\0';
			mkdir(directory, 0755);
			*at++ = '/';
		}
	}
	mkdir(directory, 0755);
	move_to(directory);
	if (subject->netns && setns(subject->netns, CLONE_NEWNET) < 0)
		_exit(1);
	if (subject->program)
		prctl(PR_SET_NAME, subject->program);
	if (subject->uid && setresuid(subject->uid, subject->uid, subject->uid) < 0)
		_exit(1);
}

struct world_pair world_connect(const struct world_subject *subject)
{
	struct world_pair pair = {.r = -EPIPE};
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		become(subject);
		pair = connect_both(subject);
		_exit(write(ends[1], &pair, sizeof(pair)) != sizeof(pair));
	}
	close(ends[1]);
	if (read(ends[0], &pair, sizeof(pair)) != sizeof(pair))
		pair.r = -EPIPE;
	close(ends[0]);
	status = world_wait(pid);
	if (status != 0 && pair.r == 0)
		pair.r = -ECHILD;
	return pair;
}

static void tell(const struct policy_remark *remark, void *userdata)
{
	(void)userdata;
	if (remark->is_error)
		print_message("# rule: %u: %s\n", remark->line, remark->message);
}

int world_try_apply(const char *rules, struct policy_apply_report *ret_report,
		    struct tcpkeep_error *ret_error)
{
	struct policy_apply_options options = {
		.cgroup = world.cgroup, .blob = rules, .blob_len = strlen(rules) + 1};
	struct policy policy;
	int r;

	if (policy_read_text("rules", rules, strlen(rules), tell, NULL, &policy) < 0)
		fail_msg("%s", rules);
	r = policy_kernel_apply(&policy, &options, ret_report, ret_error);
	policy_free(&policy);
	return r;
}

void world_apply(const char *rules)
{
	struct tcpkeep_error error = {0};
	int r = world_try_apply(rules, NULL, &error);

	if (r != 0)
		fail_msg("apply: %d: %s", r, error.message);
}

void world_remove(void)
{
	struct tcpkeep_error error = {0};
	int r = policy_kernel_remove(world.cgroup, false, NULL, NULL, &error);

	if (r < 0)
		fail_msg("remove: %d: %s", r, error.message);
}

struct wanted {
	const char *name;
	struct policy_kernel_rule found;
	bool is_found;
};

static int take_rule(const struct policy_kernel_status *status, void *userdata)
{
	struct wanted *wanted = userdata;

	for (size_t i = 0; i < status->n_rules; i++)
		if (strcmp(status->rules[i].name, wanted->name) == 0) {
			wanted->found = status->rules[i];
			wanted->is_found = true;
		}
	return 0;
}

struct policy_kernel_rule world_count(const char *rule)
{
	struct wanted wanted = {.name = rule};
	struct tcpkeep_error error = {0};
	int r = policy_kernel_status(world.cgroup, take_rule, &wanted, &error);

	if (r != 1 || !wanted.is_found)
		fail_msg("status: %d: %s", r, error.message);
	return wanted.found;
}

unsigned world_pins(void)
{
	DIR *dir = opendir(PINS);
	struct dirent *entry;
	unsigned n = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n + 1;
}

int world_wait(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void world_pretend(uint32_t layout, uint64_t build)
{
	struct policy_pins pins;
	struct policy_place *places;
	struct policy_meta meta;
	uint32_t zero = 0;
	size_t n;
	int fd;

	assert_int_equal(policy_pins_open(false, &pins, NULL), 0);
	assert_int_equal(policy_pins_list(&pins, &places, &n), 0);
	assert_int_equal(n, 1);
	fd = policy_place_get(&pins, &places[0], "meta");
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &meta), 0);
	meta.layout = layout;
	meta.build = build;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &meta, 0), 0);
	close(fd);
	free(places);
	policy_pins_close(&pins);
}

bool world_can_kill(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDOUT_FILENO);
		execlp("strace", "strace", "-V", NULL);
		_exit(127);
	}
	status = world_wait(pid);
	return getenv("TCPKEEP") && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool world_run_killed(const char *verb, const char *file, const char *call, unsigned n)
{
	char inject[160];
	int status;
	pid_t pid = fork();

	snprintf(inject, sizeof(inject), "inject=%s:signal=SIGKILL:when=%u", call, n);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDOUT_FILENO);
		/* LeakSanitizer does not work where somebody traces. */
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		execlp("strace", "strace", "-o", "/dev/null", "-e", inject, getenv("TCPKEEP"),
		       "policy", verb, "--cgroup", world.cgroup, file, NULL);
		_exit(127);
	}
	status = world_wait(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		fail_msg("policy %s: status %d", verb, WEXITSTATUS(status));
	/* strace ends as what it has traced. */
	return WIFSIGNALED(status);
}
