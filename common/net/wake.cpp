#include "common/net/wake.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace modelhop {

Wake::Wake() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Wake::~Wake() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

// Both can fail only by finding the counter as they want it: full, or empty.
void Wake::signal() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(descriptor_, &one, sizeof one);
}

void Wake::clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(descriptor_, &count, sizeof count);
}

}  // namespace modelhop
