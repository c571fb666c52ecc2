#pragma once
// `exp export`: rows as CSV or JSON lines. Trials: by id, without times and worker names, so equal runs give equal
// bytes. Columns: docs/api.md, "Export".
#include <optional>
#include <string>
#include <string_view>

#include "scheduler/core/state.h"

namespace modelhop {

enum class ExportRows : std::uint8_t { kTrials, kUnits, kPoints };
enum class ExportFormat : std::uint8_t { kCsv, kJsonl };

std::string export_rows(const State& state, const ExperimentRow& experiment, ExportRows rows, ExportFormat format);
// RFC 4180: quoted where it holds a comma, quote, CR or LF.
std::string csv_field(std::string_view text);

}  // namespace modelhop
