#include "common/spec/layers.h"

#include <array>
#include <limits>

#include "common/base/check.h"
#include "common/spec/json_reader.h"

namespace modelhop {
namespace {

// Elements of one tensor: 32 GiB of float32. A larger one is a slip of the pen, and its size must not overflow.
constexpr std::uint64_t kTensorElementsMax = std::uint64_t{1} << 33;

constexpr std::array<std::pair<LayerType, const char*>, 17> kNames = {{
    {LayerType::kLinear, "linear"},
    {LayerType::kConv2d, "conv2d"},
    {LayerType::kBatchNorm1d, "batch_norm1d"},
    {LayerType::kBatchNorm2d, "batch_norm2d"},
    {LayerType::kLayerNorm, "layer_norm"},
    {LayerType::kReLU, "relu"},
    {LayerType::kLeakyReLU, "leaky_relu"},
    {LayerType::kGELU, "gelu"},
    {LayerType::kSiLU, "silu"},
    {LayerType::kTanh, "tanh"},
    {LayerType::kSigmoid, "sigmoid"},
    {LayerType::kMaxPool2d, "max_pool2d"},
    {LayerType::kAvgPool2d, "avg_pool2d"},
    {LayerType::kAdaptiveAvgPool2d, "adaptive_avg_pool2d"},
    {LayerType::kDropout, "dropout"},
    {LayerType::kFlatten, "flatten"},
    {LayerType::kResidual, "residual"},
}};

std::string count_text(std::int64_t number) { return std::to_string(number); }

// The first fault of one layer, or "".
using Fault = std::string;

// A size that may be given or follow: equal to what the input has.
Fault settle(std::int64_t& given, std::int64_t actual, const char* key, const char* what) {
  if (given == 0) given = actual;
  if (given == actual) return {};
  return std::string(key) + " is " + count_text(given) + ", but " + what + " " + count_text(actual) + "; leave " + key +
         " out, it follows from the input";
}

Fault needs_rank_3(const Layer& layer) {
  if (layer.in.size() == 3) return {};
  return "needs an input of [channels, height, width]";
}

// torch's pooling and convolution arithmetic for one side. 0: nothing is left.
std::int64_t windows(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                     std::int64_t dilation, bool ceil_mode) {
  const std::int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1;
  if (room < 0 && !(ceil_mode && room + stride - 1 >= 0)) return 0;
  std::int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  // The last window must start inside the input or its left padding.
  if (ceil_mode && (out - 1) * stride >= in + padding) --out;
  return out;
}

Fault infer_windows(Layer& layer, std::int64_t channels) {
  layer.out = {channels, 0, 0};
  for (std::size_t side = 0; side < 2; ++side) {
    const std::int64_t in = layer.in[side + 1];
    const std::int64_t out = windows(in, layer.kernel_size[side], layer.stride[side], layer.padding[side],
                                     layer.dilation[side], layer.ceil_mode);
    if (out <= 0) {
      return std::string("its kernel of ") + count_text(layer.dilation[side] * (layer.kernel_size[side] - 1) + 1) +
             " is larger than the " + (side == 0 ? "height" : "width") + " of " +
             count_text(in + 2 * layer.padding[side]) + (layer.padding[side] > 0 ? " with padding" : "");
    }
    layer.out[side + 1] = out;
  }
  return {};
}

Fault infer_linear(Layer& layer) {
  if (layer.in.empty()) return "needs an input of at least one dimension";
  if (Fault fault = settle(layer.in_features, layer.in.back(), "in_features", "the last dimension of the input is");
      !fault.empty()) {
    return fault + (layer.in.size() > 1 ? " (a flatten before it makes one dimension of all)" : "");
  }
  layer.out = layer.in;
  layer.out.back() = layer.out_features;
  if (elements_of({layer.in_features, layer.out_features}) == 0) return "its weight would be too large";
  return {};
}

Fault infer_conv2d(Layer& layer) {
  if (Fault fault = needs_rank_3(layer); !fault.empty()) return fault;
  if (Fault fault = settle(layer.in_channels, layer.in[0], "in_channels", "the channels of the input are");
      !fault.empty()) {
    return fault;
  }
  if (layer.in_channels % layer.groups != 0) {
    return "groups of " + count_text(layer.groups) + " do not divide the " + count_text(layer.in_channels) +
           " channels of the input";
  }
  if (elements_of({layer.out_channels, layer.in_channels / layer.groups, layer.kernel_size[0], layer.kernel_size[1]}) ==
      0) {
    return "its weight would be too large";
  }
  return infer_windows(layer, layer.out_channels);
}

Fault infer_batch_norm(Layer& layer) {
  if (layer.type == LayerType::kBatchNorm2d) {
    if (Fault fault = needs_rank_3(layer); !fault.empty()) return fault;
  } else if (layer.in.empty() || layer.in.size() > 2) {
    return "needs an input of [features] or [features, length]";
  }
  layer.out = layer.in;
  return settle(layer.num_features, layer.in[0], "num_features", "the channels of the input are");
}

Fault infer_layer_norm(Layer& layer) {
  if (layer.in.empty()) return "needs an input of at least one dimension";
  if (layer.normalized_shape.empty()) layer.normalized_shape = {layer.in.back()};
  layer.out = layer.in;
  const Shape& wanted = layer.normalized_shape;
  if (wanted.size() <= layer.in.size() && std::equal(wanted.rbegin(), wanted.rend(), layer.in.rbegin())) return {};
  return "normalized_shape " + shape_text(wanted) + " must be the last dimensions of the input";
}

Fault infer_flatten(Layer& layer) {
  const auto rank = static_cast<std::int64_t>(layer.in.size()) + 1;  // with the batch dimension
  const auto place = [&](std::int64_t dim) { return dim < 0 ? dim + rank : dim; };
  const std::int64_t start = place(layer.start_dim), end = place(layer.end_dim);
  if (start == 0) return "start_dim is the batch dimension, which must stay; the first of a sample is 1";
  if (start < 0 || start >= rank || end < 0 || end >= rank) {
    return "start_dim " + count_text(layer.start_dim) + " and end_dim " + count_text(layer.end_dim) +
           " must name dimensions of the input (batch dimension 0 included, it has " + count_text(rank) + ")";
  }
  if (start > end) return "start_dim comes after end_dim";
  layer.out.assign(layer.in.begin(), layer.in.begin() + start - 1);
  layer.out.push_back(
      static_cast<std::int64_t>(elements_of(Shape(layer.in.begin() + start - 1, layer.in.begin() + end))));
  layer.out.insert(layer.out.end(), layer.in.begin() + end, layer.in.end());
  return {};
}

Fault infer(Layer& layer) {
  switch (layer.type) {
    case LayerType::kLinear:
      return infer_linear(layer);
    case LayerType::kConv2d:
      return infer_conv2d(layer);
    case LayerType::kBatchNorm1d:
    case LayerType::kBatchNorm2d:
      return infer_batch_norm(layer);
    case LayerType::kLayerNorm:
      return infer_layer_norm(layer);
    case LayerType::kMaxPool2d:
    case LayerType::kAvgPool2d:
      if (Fault fault = needs_rank_3(layer); !fault.empty()) return fault;
      return infer_windows(layer, layer.in[0]);
    case LayerType::kAdaptiveAvgPool2d:
      if (Fault fault = needs_rank_3(layer); !fault.empty()) return fault;
      layer.out = {layer.in[0], layer.output_size[0], layer.output_size[1]};
      return {};
    case LayerType::kFlatten:
      return infer_flatten(layer);
    default:
      layer.out = layer.in;
      return {};
  }
}

}  // namespace

const char* to_string(LayerType type) {
  for (const auto& [known, name] : kNames) {
    if (known == type) return name;
  }
  check_failed(__FILE__, __LINE__, "a LayerType has a name");
}

bool parse(const std::string& text, LayerType& out) {
  for (const auto& [type, name] : kNames) {
    if (text == name) {
      out = type;
      return true;
    }
  }
  return false;
}

std::string shape_text(const Shape& shape) {
  std::string out = "[";
  for (std::int64_t size : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(size);
  return out + "]";
}

std::uint64_t elements_of(const Shape& shape) {
  std::uint64_t out = 1;
  for (std::int64_t size : shape) {
    const auto factor = static_cast<std::uint64_t>(size);
    if (size <= 0 || out > kTensorElementsMax / factor) return 0;
    out *= factor;
  }
  return out;
}

bool infer_shapes(std::vector<Layer>& layers, const Shape& input, const std::string& pointer, Problems& problems) {
  Shape shape = input;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Layer& layer = layers[i];
    const std::string place = pointer + pointer_step(i);
    const auto refuse = [&](const Fault& fault, const std::string& shapes) {
      problems.error(place, std::string(to_string(layer.type)).append(": ").append(fault).append("; ").append(shapes));
      return false;
    };
    layer.in = shape;
    if (layer.type == LayerType::kResidual) {
      if (!infer_shapes(layer.layers, shape, place + "/layers", problems)) return false;
      layer.out = layer.layers.back().out;
      if (layer.out != layer.in) {
        return refuse("x + layers(x) needs equal shapes",
                      "x is " + shape_text(layer.in) + ", its layers give " + shape_text(layer.out));
      }
    } else if (const Fault fault = infer(layer); !fault.empty()) {
      return refuse(fault, "its input is " + shape_text(layer.in));
    }
    if (elements_of(layer.out) == 0) {
      return refuse("its output is too large", "input " + shape_text(layer.in) + ", output " + shape_text(layer.out));
    }
    shape = layer.out;
  }
  return true;
}

void check_layer(const Layer& layer, const std::string& place, Problems& problems) {
  const std::string name = std::string(to_string(layer.type)) + ": ";
  if (layer.type == LayerType::kResidual) {
    for (std::size_t i = 0; i < layer.layers.size(); ++i) {
      check_layer(layer.layers[i], place + "/layers" + pointer_step(i), problems);
    }
  }
  if (layer.type == LayerType::kConv2d) {
    if (layer.out_channels % layer.groups != 0) {
      problems.error(place + "/groups", name + "groups of " + count_text(layer.groups) +
                                            " do not divide out_channels " + count_text(layer.out_channels));
    }
    if (layer.in_channels % layer.groups != 0) {
      problems.error(place + "/groups", name + "groups of " + count_text(layer.groups) + " do not divide in_channels " +
                                            count_text(layer.in_channels));
    }
  }
  if (layer.type == LayerType::kMaxPool2d || layer.type == LayerType::kAvgPool2d) {
    for (std::size_t side = 0; side < 2; ++side) {
      if (layer.padding[side] * 2 <= layer.kernel_size[side]) continue;
      problems.error(place + "/padding", name + "padding " + count_text(layer.padding[side]) +
                                             " is more than half of kernel_size " +
                                             count_text(layer.kernel_size[side]));
      return;
    }
  }
}

}  // namespace modelhop
