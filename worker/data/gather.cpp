#include "worker/data/gather.h"

#include <cstring>

#include "common/base/check.h"
#include "worker/data/half.h"

namespace modelhop {
namespace {

std::uint64_t elements(const std::vector<std::int64_t>& shape) {
  std::uint64_t count = 1;
  for (std::int64_t size : shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

struct Half {
  std::uint16_t bits;
};

template <class T>
float to_float(T value) {
  return static_cast<float>(value);
}
float to_float(Half value) { return half_to_float(value.bits); }

template <class T>
std::int64_t to_int64(T value) {
  return static_cast<std::int64_t>(value);
}

// Calls f with a value of the C++ type that `dtype` is stored as.
template <class F>
void with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::kU8:
    case DType::kBool:
      return f(std::uint8_t{});
    case DType::kI8:
      return f(std::int8_t{});
    case DType::kI16:
      return f(std::int16_t{});
    case DType::kI32:
      return f(std::int32_t{});
    case DType::kI64:
      return f(std::int64_t{});
    case DType::kU16:
      return f(std::uint16_t{});
    case DType::kU32:
      return f(std::uint32_t{});
    case DType::kF16:
      return f(Half{});
    case DType::kF32:
      return f(float{});
    case DType::kF64:
      return f(double{});
  }
  check_failed(__FILE__, __LINE__, "a DType has a C++ type");
}

// out[r * elements + i] = convert(row r's element i)
template <class T, class Out, class Convert>
void gather_rows(std::span<const std::uint8_t> bytes, std::span<const std::uint32_t> rows, std::uint64_t elements,
                 Out* out, Convert convert) {
  for (std::uint32_t row : rows) {
    CHECK((row + std::uint64_t{1}) * elements * sizeof(T) <= bytes.size());
    const std::uint8_t* from = bytes.data() + row * elements * sizeof(T);
    for (std::uint64_t i = 0; i < elements; ++i) {
      T value;
      std::memcpy(&value, from + i * sizeof(T), sizeof(T));
      out[i] = convert(value);
    }
    out += elements;
  }
}

void gather_floats(DType dtype, std::span<const std::uint8_t> bytes, std::span<const std::uint32_t> rows,
                   std::uint64_t elements, float* out) {
  with_type(dtype, [&](auto type) {
    using T = decltype(type);
    gather_rows<T>(bytes, rows, elements, out, [](T value) { return to_float(value); });
  });
}

}  // namespace

Gather::Gather(const Manifest& manifest, const std::vector<Transform>& transforms)
    : x_type_(manifest.x().dtype),
      y_type_(manifest.y().dtype),
      x_elements_(elements(manifest.x().shape)),
      y_elements_(elements(manifest.y().shape)) {
  for (const Transform& transform : transforms) {
    for (const std::vector<double>& values : {transform.mean, transform.std}) {
      if (transform.op == TransformOp::kNormalize && values.size() > 1) channels_ = values.size();
    }
  }
  CHECK(channels_ == 1 ||
        (!manifest.x().shape.empty() && channels_ == static_cast<std::uint64_t>(manifest.x().shape[0])));
  steps_.resize(channels_);
  for (std::uint64_t channel = 0; channel < channels_; ++channel) {
    const auto pick = [&](const std::vector<double>& values) {
      CHECK(values.size() == 1 || values.size() == channels_);
      return static_cast<float>(values.size() == 1 ? values[0] : values[channel]);
    };
    for (const Transform& transform : transforms) {
      if (transform.op == TransformOp::kScale) {
        steps_[channel].push_back({transform.op, static_cast<float>(transform.factor), 1});
      } else {
        steps_[channel].push_back({transform.op, pick(transform.mean), pick(transform.std)});
      }
    }
  }
  if (size_of(x_type_) != 1) return;
  table_.resize(channels_);
  for (std::uint64_t channel = 0; channel < channels_; ++channel) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      float value =
          x_type_ == DType::kI8 ? static_cast<float>(static_cast<std::int8_t>(byte)) : static_cast<float>(byte);
      for (const Step& step : steps_[channel]) {
        value = step.op == TransformOp::kScale ? value * step.a : (value - step.a) / step.b;
      }
      table_[channel][byte] = value;
    }
  }
}

void Gather::apply_steps(float* row) const {
  const std::uint64_t size = x_elements_ / channels_;
  for (std::uint64_t channel = 0; channel < channels_; ++channel, row += size) {
    for (const Step& step : steps_[channel]) {
      if (step.op == TransformOp::kScale) {
        for (std::uint64_t i = 0; i < size; ++i) row[i] *= step.a;
      } else {
        for (std::uint64_t i = 0; i < size; ++i) row[i] = (row[i] - step.a) / step.b;
      }
    }
  }
}

void Gather::x(const Partition& data, std::span<const std::uint32_t> rows, float* out) const {
  if (!table_.empty()) {
    const std::uint64_t size = x_elements_ / channels_;
    for (std::uint32_t row : rows) {
      CHECK(row < data.rows());
      const std::uint8_t* from = data.x().data() + row * x_elements_;
      for (const std::array<float, 256>& table : table_) {
        for (std::uint64_t i = 0; i < size; ++i) out[i] = table[from[i]];
        from += size;
        out += size;
      }
    }
    return;
  }
  if (x_type_ == DType::kF32) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CHECK(rows[i] < data.rows());
      std::memcpy(out + i * x_elements_, data.x().data() + rows[i] * x_elements_ * 4, x_elements_ * 4);
    }
  } else {
    gather_floats(x_type_, data.x(), rows, x_elements_, out);
  }
  if (steps_[0].empty()) return;
  for (std::size_t i = 0; i < rows.size(); ++i) apply_steps(out + i * x_elements_);
}

void Gather::classes(const Partition& data, std::span<const std::uint32_t> rows, std::int64_t* out) const {
  CHECK(y_type_ != DType::kF16 && y_type_ != DType::kF32 && y_type_ != DType::kF64);
  with_type(y_type_, [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_integral_v<T>) {
      gather_rows<T>(data.y(), rows, y_elements_, out, [](T value) { return to_int64(value); });
    }
  });
}

void Gather::values(const Partition& data, std::span<const std::uint32_t> rows, float* out) const {
  gather_floats(y_type_, data.y(), rows, y_elements_, out);
}

}  // namespace modelhop
