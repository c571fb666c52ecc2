#include "worker/train/batch_source.h"

#include "worker/model/model.h"

namespace modelhop {

BatchSource::BatchSource(const Recipe& recipe, const Manifest& manifest, const Partition& data)
    : gather_(manifest, recipe.transforms),
      data_(data),
      by_class_(recipe.training.loss.name == LossName::kCrossEntropy) {
  sizes_.push_back(0);
  sizes_.insert(sizes_.end(), manifest.x().shape.begin(), manifest.x().shape.end());
  for (const std::int64_t size : manifest.y().shape) values_per_row_ *= static_cast<std::size_t>(size);
}

BatchSource::Batch BatchSource::gather(std::span<const std::uint32_t> rows) {
  std::size_t count = rows.size();
  sizes_[0] = static_cast<std::int64_t>(rows.size());
  for (std::size_t i = 1; i < sizes_.size(); ++i) count *= static_cast<std::size_t>(sizes_[i]);
  x_.resize(count);
  gather_.x(data_, rows, x_.data());
  Batch batch{view_floats(x_.data(), sizes_), {}};
  if (by_class_) {
    classes_.resize(rows.size());
    gather_.classes(data_, rows, classes_.data());
    batch.targets.classes = classes_;
  } else {
    values_.resize(rows.size() * values_per_row_);
    gather_.values(data_, rows, values_.data());
    batch.targets.values = values_;
  }
  return batch;
}

}  // namespace modelhop
