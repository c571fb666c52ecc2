#include "worker/train/numeric_profile.h"

#include <ATen/Version.h>
#include <cpuid.h>
#include <gnu/libc-version.h>

#include <cstdlib>

#include "common/base/hash.h"

namespace modelhop {
namespace {

constexpr std::uint64_t kKernelsVersion = 1;  // grows whenever our own arithmetic changes a bit

// MKL and oneDNN choose code by the CPU's vendor, family and model, not only by its vector width.
void add_cpu(Hasher& hasher) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  for (const unsigned leaf : {0u, 1u}) {
    if (__get_cpuid(leaf, &a, &b, &c, &d) == 0) continue;
    hasher.add_u64(leaf == 1 ? a & ~0xfu : a);                                 // without the stepping
    if (leaf == 0) hasher.add_u64((static_cast<std::uint64_t>(b) << 32) | d);  // leaf 1's b names the core that asks
  }
}

// What a user may set to make MKL and oneDNN choose other code.
void add_environment(Hasher& hasher) {
  for (const char* name : {"MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA",
                           "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"}) {
    const char* value = std::getenv(name);
    hasher.add(std::string_view(value == nullptr ? "" : value));
    hasher.add_u64(value != nullptr);
  }
}

}  // namespace

ContentHash torch_numeric_profile(int threads) {
  Hasher hasher;
  hasher.add(at::show_config());
  hasher.add(at::get_cpu_capability());
  hasher.add(std::string_view(gnu_get_libc_version()));
  add_cpu(hasher);
  add_environment(hasher);
  hasher.add_u64(static_cast<std::uint64_t>(threads));
  hasher.add_u64(kKernelsVersion);
  return hasher.finish();
}

}  // namespace modelhop
