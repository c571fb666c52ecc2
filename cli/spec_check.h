#pragma once
// A spec held against everything that is known here before anything is started or made: schema, recipe, search, and the
// data set where the store has it. `run` and `space` ask the same.
#include <optional>
#include <string>

#include "common/spec/manifest.h"
#include "common/spec/spec.h"

namespace modelhop::cli {

struct CheckedSpec {
  ParsedSpec parsed;             // `spec` is null where a problem is an error
  std::optional<Manifest> data;  // empty: the store does not have it
  std::string dataset;           // its name; empty where the spec does not say
};

// Reads the store only; makes nothing in it. `store`: a path or file:///path.
CheckedSpec check_spec_here(const std::string& store, const std::string& text);

// kNotFound: the store has no such data set; the message names those it has.
Status missing_dataset(const std::string& store, const std::string& name);

}  // namespace modelhop::cli
