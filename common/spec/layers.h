#pragma once
// The layers of a model: torch's shape rules without torch.
#include <string>
#include <vector>

#include "common/spec/problems.h"
#include "common/spec/recipe.h"

namespace modelhop {

const char* to_string(LayerType type);
bool parse(const std::string& text, LayerType& out);

// "[16, 28, 28]".
std::string shape_text(const Shape& shape);

// Elements of a shape; 0: more than a tensor may have.
std::uint64_t elements_of(const Shape& shape);

// Fills in/out, and the sizes that follow from the input, of every layer. Reports the first layer that does not fit its
// input, with both shapes, and returns false. `pointer` is that of the list of layers.
bool infer_shapes(std::vector<Layer>& layers, const Shape& input, const std::string& pointer, Problems& problems);

// What is wrong with a layer whatever its input: groups, padding. `place` is its pointer.
void check_layer(const Layer& layer, const std::string& place, Problems& problems);

}  // namespace modelhop
