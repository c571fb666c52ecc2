#pragma once
// Errors are values. A code says whose fault it is; a message names the object, what is wrong, and the fix.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "common/base/check.h"

namespace modelhop {

enum class Code : std::uint8_t {
  kOk,
  kInvalid,      // the user's input: a spec, a flag, a data file
  kNotFound,     // a name or id that is not here
  kConflict,     // refused in the present state: exists already, wrong state
  kUnreachable,  // a peer that does not answer
  kCorrupt,      // bytes that are not what their hash or format says
  kEnvironment,  // disk, memory, operating system
  kTimeout,
  kInternal,  // our mistake, but not one worth dying for
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status invalid(std::string message) { return {Code::kInvalid, std::move(message)}; }
inline Status not_found(std::string message) { return {Code::kNotFound, std::move(message)}; }
inline Status conflict(std::string message) { return {Code::kConflict, std::move(message)}; }
inline Status corrupt(std::string message) { return {Code::kCorrupt, std::move(message)}; }
inline Status environment(std::string message) { return {Code::kEnvironment, std::move(message)}; }

// A value or the reason why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit, so `return value;` reads well
  Result(Status status) : status_(std::move(status)) { MODELHOP_CHECK(!status_.ok()); }  // NOLINT
  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  // REQUIRES: ok().
  T& value() & {
    MODELHOP_CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    MODELHOP_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    MODELHOP_CHECK(ok());
    return std::move(*value_);
  }
  T* operator->() {
    MODELHOP_CHECK(ok());
    return &*value_;
  }
  const T* operator->() const {
    MODELHOP_CHECK(ok());
    return &*value_;
  }
  T& operator*() & {
    MODELHOP_CHECK(ok());
    return *value_;
  }
  const T& operator*() const& {
    MODELHOP_CHECK(ok());
    return *value_;
  }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace modelhop

// Returns the Status of a failed expression from the surrounding function.
#define RETURN_IF_ERROR(expression)                                 \
  do {                                                              \
    if (::modelhop::Status status_ = (expression); !status_.ok()) { \
      return status_;                                               \
    }                                                               \
  } while (false)

#define MODELHOP_CONCAT_INNER(a, b) a##b
#define MODELHOP_CONCAT(a, b) MODELHOP_CONCAT_INNER(a, b)
// ASSIGN_OR_RETURN(auto rows, count_rows(path)); takes the value, or returns the Status.
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(MODELHOP_CONCAT(result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                   \
  if (!result.ok()) return result.status();                     \
  declaration = std::move(result).value()
