#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "common/spec/manifest.h"
#include "common/spec/recipe.h"
#include "worker/data/partition.h"

namespace modelhop {

// Gathers rows of a resident partition into a batch: stored dtype to float32, then the transforms one after another in
// float32, as torch would. One pass; types of one byte go through a table of the 256 results, which has the same bits.
// Threads: const after construction; any thread.
class Gather {
 public:
  // REQUIRES: the transforms fit the manifest's x (parse_recipe() has checked): means and deviations are one value or
  // one for each channel, the first dimension of a row.
  Gather(const Manifest& manifest, const std::vector<Transform>& transforms);
  // REQUIRES in all: every row < data.rows().
  void x(const Partition& data, std::span<const std::uint32_t> rows, float* out) const;  // rows x prod(shape)
  void classes(const Partition& data, std::span<const std::uint32_t> rows, std::int64_t* out) const;  // integer y
  void values(const Partition& data, std::span<const std::uint32_t> rows, float* out) const;          // any y, as float
  std::uint64_t x_elements() const { return x_elements_; }                                            // of one row
  std::uint64_t y_elements() const { return y_elements_; }

 private:
  struct Step {
    TransformOp op{};
    float a{}, b{};  // scale: * a; normalize: (- a) / b
  };
  void apply_steps(float* row) const;

  DType x_type_, y_type_;
  std::uint64_t x_elements_{1}, y_elements_{1};
  std::uint64_t channels_{1};                  // 1 where no transform tells channels apart
  std::vector<std::vector<Step>> steps_;       // by channel
  std::vector<std::array<float, 256>> table_;  // by channel; empty unless x has one byte
};

}  // namespace modelhop
