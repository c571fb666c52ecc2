#pragma once
// MODELHOP_CLONES before a function compiles it twice, for AVX2 and for any x86-64, and the machine chooses. Both give
// the same bits as long as the function does IEEE operations on single elements (-ffp-contract=off is on everywhere).

// Sanitizers run before the choice is made, so under them there is one version.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MODELHOP_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define MODELHOP_CLONES
#endif
