#include "worker/model/model.h"

#include <ATen/ops/from_blob.h>

namespace modelhop {
namespace {

class ArenaTensors final : public TensorSource {
 public:
  ArenaTensors(StateArena& state, GradientArena* gradients) : state_(state), gradients_(gradients) {
    const auto& tensors = state.layout().tensors;
    while (buffer_ < tensors.size() && tensors[buffer_].section == Section::kParameters) ++buffer_;
  }
  Parameter parameter() override {
    const TensorSpec& spec = next(parameter_, Section::kParameters);
    Parameter result{view_floats(reinterpret_cast<float*>(state_.tensor(parameter_)), spec.sizes), {}};
    if (gradients_ != nullptr) result.gradient = view_floats(gradients_->at(spec.offset_bytes), spec.sizes);
    ++parameter_;
    return result;
  }
  at::Tensor buffer() override {
    const TensorSpec& spec = next(buffer_, Section::kBuffers);
    const auto dtype = spec.dtype == DType::kI64 ? at::kLong : at::kFloat;
    return at::from_blob(state_.tensor(buffer_++), spec.sizes, at::TensorOptions().dtype(dtype));
  }

 private:
  const TensorSpec& next(std::size_t index, Section section) const {
    const auto& tensors = state_.layout().tensors;
    CHECK(index < tensors.size() && tensors[index].section == section);  // the caller compared layouts
    return tensors[index];
  }

  StateArena& state_;
  GradientArena* const gradients_;
  std::size_t parameter_ = 0, buffer_ = 0;
};

class Builder {
 public:
  explicit Builder(TensorSource& source) : source_(source) {}
  std::vector<OpPtr> build(const std::vector<Layer>& layers) {
    std::vector<OpPtr> ops;
    const Layer* previous = nullptr;
    for (const Layer& layer : layers) {
      ops.push_back(build(layer, previous != nullptr && makes_fresh_output(*previous)));
      previous = &layer;
    }
    return ops;
  }

 private:
  // Its output is a tensor of its own, which its backward does not read.
  static bool makes_fresh_output(const Layer& layer) {
    switch (layer.type) {
      case LayerType::kLinear:
      case LayerType::kConv2d:
      case LayerType::kBatchNorm1d:
      case LayerType::kBatchNorm2d:
      case LayerType::kLayerNorm:
        return true;
      default:
        return false;
    }
  }

  OpPtr build(const Layer& layer, bool fresh_input) {
    const std::uint32_t place = place_++;
    switch (layer.type) {
      case LayerType::kLinear:
        return make_linear(layer, source_);
      case LayerType::kConv2d:
        return make_conv2d(layer, source_);
      case LayerType::kBatchNorm1d:
      case LayerType::kBatchNorm2d:
        return make_batch_norm(layer, source_);
      case LayerType::kLayerNorm:
        return make_layer_norm(layer, source_);
      case LayerType::kReLU:
      case LayerType::kLeakyReLU:
      case LayerType::kGELU:
      case LayerType::kSiLU:
      case LayerType::kTanh:
      case LayerType::kSigmoid:
        return make_activation(layer, fresh_input);
      case LayerType::kMaxPool2d:
      case LayerType::kAvgPool2d:
      case LayerType::kAdaptiveAvgPool2d:
        return make_pool(layer);
      case LayerType::kDropout:
        return make_dropout(layer, place);
      case LayerType::kFlatten:
        return make_flatten(layer);
      case LayerType::kResidual:
        return make_residual(Chain(build(layer.layers)));
    }
    check_failed(__FILE__, __LINE__, "a layer has an op");
  }

  TensorSource& source_;
  std::uint32_t place_ = 0;
};

std::vector<OpPtr> build_model(const std::vector<Layer>& layers, StateArena& state, GradientArena* gradients) {
  ArenaTensors source(state, gradients);
  return Builder(source).build(layers);
}

}  // namespace

Model::Model(const std::vector<Layer>& layers, StateArena& state, GradientArena* gradients)
    : chain_(build_model(layers, state, gradients)) {}

at::Tensor view_floats(float* data, at::IntArrayRef sizes) {
  return at::from_blob(data, sizes, at::TensorOptions().dtype(at::kFloat));
}

}  // namespace modelhop
