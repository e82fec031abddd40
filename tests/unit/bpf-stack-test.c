/* SPDX-License-Identifier: MIT */
/*
 * Do the programs fit older kernels' stack? 512 bytes for a chain of calls, each frame counted in
 * steps of 32 (check_max_stack_depth() of kernel/bpf/verifier.c; since 6.8 of 16 where the JIT does
 * the rest): a program that the running kernel takes may be refused by that of Debian 12.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"

#define STACK_MAX 512
#define FRAME     32
#define CALLS_MAX 8

#define MOVE_FROM_FRAME (BPF_ALU64 | BPF_MOV | BPF_X)
#define ADD_NUMBER      (BPF_ALU64 | BPF_ADD | BPF_K)
#define CALL            (BPF_JMP | BPF_CALL)
#define LOAD_IMM64      (BPF_LD | BPF_DW | BPF_IMM)

struct code {
	const struct bpf_insn *insns;
	size_t n;
	uint8_t *starts; /* of functions */
};

static bool calls_ours(const struct bpf_insn *insn)
{
	return insn->code == CALL && insn->src_reg == BPF_PSEUDO_CALL;
}

/* Where a callback is handed over: bpf_loop(), bpf_for_each_map_elem(). */
static bool hands_over(const struct bpf_insn *insn)
{
	return insn->code == LOAD_IMM64 && insn->src_reg == BPF_PSEUDO_FUNC;
}

static size_t target_of(const struct code *code, size_t at)
{
	size_t target = at + 1 + (size_t)(int64_t)code->insns[at].imm;

	assert_true(target < code->n);
	return target;
}

/* How far below its frame pointer an instruction reaches, or the address that it makes. */
static int reach(const struct code *code, size_t at)
{
	const struct bpf_insn *insn = &code->insns[at];
	int class = BPF_CLASS(insn->code);

	if ((class == BPF_STX || class == BPF_ST) && insn->dst_reg == BPF_REG_10)
		return -insn->off;
	if (class == BPF_LDX && insn->src_reg == BPF_REG_10)
		return -insn->off;
	if (insn->code == MOVE_FROM_FRAME && insn->src_reg == BPF_REG_10 && at + 1 < code->n &&
	    insn[1].code == ADD_NUMBER && insn[1].dst_reg == insn->dst_reg)
		return -insn[1].imm;
	return 0;
}

/* The deepest chain from the function that starts there. */
static int depth_from(const struct code *code, size_t start, int calls)
{
	int own = 1, below = 0;

	assert_true(calls <= CALLS_MAX);
	for (size_t i = start; i < code->n && (i == start || !code->starts[i]); i++) {
		own = MAX(own, reach(code, i));
		if (calls_ours(&code->insns[i]) || hands_over(&code->insns[i]))
			below = MAX(below, depth_from(code, target_of(code, i), calls + 1));
	}
	return (own + FRAME - 1) / FRAME * FRAME + below;
}

static int depth_of(const struct bpf_program *program)
{
	struct code code = {
		.insns = bpf_program__insns(program),
		.n = bpf_program__insn_cnt(program),
	};
	int depth;

	code.starts = calloc(code.n, 1);
	assert_non_null(code.starts);
	for (size_t i = 0; i < code.n; i++)
		if (calls_ours(&code.insns[i]) || hands_over(&code.insns[i]))
			code.starts[target_of(&code, i)] = 1;
	depth = depth_from(&code, 0, 1);
	free(code.starts);
	return depth;
}

static int stay_silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static void they_fit_the_stack_of_older_kernels(void **state)
{
	libbpf_set_print(stay_silent);
	for (char **path = *state; *path; path++) {
		struct bpf_object *object = bpf_object__open_file(*path, NULL);
		struct bpf_program *program;
		int r;

		assert_non_null(object);
		/* Only a load joins a program and its functions. */
		r = bpf_object__load(object);
		if (r == -EPERM || r == -EACCES) {
			bpf_object__close(object);
			skip();
		}
		assert_int_equal(r, 0);
		bpf_object__for_each_program(program, object)
		{
			int depth = depth_of(program);

			print_message("# %s: %d bytes\n", bpf_program__name(program), depth);
			assert_in_range(depth, 1, STACK_MAX);
		}
		bpf_object__close(object);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(they_fit_the_stack_of_older_kernels, argv + 1),
	};

	(void)argc;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("bpf-stack", tests, NULL, NULL);
}
