# SPDX-License-Identifier: MIT
# Shared by the CLI tests. TCPKEEP is the program, SOURCE the source tree, BUILD the build tree.

load ../helpers/netns
