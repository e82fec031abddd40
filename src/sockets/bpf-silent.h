/* SPDX-License-Identifier: MIT */
#pragma once

/* What libbpf says goes nowhere from here on: commands speak, and they have better words. */
void bpf_be_silent(void);
