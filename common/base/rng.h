#pragma once
// Keyed randomness: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC11).
// A draw is a pure function of (seed, purpose, a, b, index), so there is no generator state to save, send or lose.
#include <array>
#include <cstdint>

namespace modelhop {

enum class Purpose : std::uint32_t {  // values are part of what a seed means: never renumber
  kSearch = 1,                        // a = trial, b = parameter's place
  kInitialize = 2,                    // a = trial, b = tensor's place in the layout
  kDropout = 3,                       // a = trial, b = step
  kShuffle = 4,                       // a = epoch, b = partition (per_trial: the key also holds the trial)
  kImport = 5,                        // the data set's one shuffle
  kSimulator = 6,
  kPlacement = 7,
};

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

// One stream of 2^64 draws. A cheap value: two multiplications per 32 bits; copying it copies the position.
class KeyedRng {
 public:
  KeyedRng(std::uint64_t seed, Purpose purpose, std::uint64_t a = 0, std::uint64_t b = 0);
  std::uint32_t next_u32();
  std::uint64_t next_u64();
  double next_double();                      // in [0, 1), 53 bits
  float next_float();                        // in [0, 1), 24 bits
  double next_normal();                      // Box-Muller, one value a call
  std::uint64_t below(std::uint64_t bound);  // in [0, bound), unbiased; bound > 0
  // Block i of the stream (4 words), without moving the position: for kernels that index into it.
  std::array<std::uint32_t, 4> block(std::uint64_t i) const;

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 2> high_;
  std::uint64_t next_block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  unsigned used_ = 4;
};

}  // namespace modelhop
