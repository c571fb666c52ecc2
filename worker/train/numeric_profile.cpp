#include "worker/train/numeric_profile.h"

#include <ATen/Version.h>
#include <cpuid.h>
#include <gnu/libc-version.h>

#include "common/base/hash.h"

namespace modelhop {
namespace {

constexpr std::uint64_t kKernelsVersion = 1;  // grows whenever our own arithmetic changes a bit

// MKL and oneDNN choose code by the CPU's vendor, family and model, not only by its vector width.
void add_cpu(Hasher& hasher) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  for (const unsigned leaf : {0u, 1u}) {
    if (__get_cpuid(leaf, &a, &b, &c, &d) == 0) continue;
    hasher.add_u64(a);
    if (leaf == 0) hasher.add_u64((static_cast<std::uint64_t>(b) << 32) | d);  // leaf 1's b names the core that asks
  }
}

}  // namespace

ContentHash torch_numeric_profile(int threads) {
  Hasher hasher;
  hasher.add(at::show_config());
  hasher.add(at::get_cpu_capability());
  hasher.add(std::string_view(gnu_get_libc_version()));
  add_cpu(hasher);
  hasher.add_u64(static_cast<std::uint64_t>(threads));
  hasher.add_u64(kKernelsVersion);
  return hasher.finish();
}

}  // namespace modelhop
