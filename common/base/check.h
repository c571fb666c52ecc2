#pragma once
// CHECK(condition): what only our own mistake can break. Prints and aborts. No byte from disk, network or a user
// ever reaches one.
#include <cstdio>
#include <cstdlib>

namespace modelhop {
[[noreturn]] inline void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, what);
  std::abort();
}
}  // namespace modelhop

#define MODELHOP_CHECK(condition) ((condition) ? void(0) : ::modelhop::check_failed(__FILE__, __LINE__, #condition))
// Headers spell it MODELHOP_CHECK, since in a test program CHECK is Catch2's.
#ifndef MODELHOP_TEST_PROGRAM
#undef CHECK  // LibTorch's logging has one too
#define CHECK(condition) MODELHOP_CHECK(condition)
#endif
