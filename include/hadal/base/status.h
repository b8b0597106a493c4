// What an operation that may be refused returns: a value, or an error with a code and one sentence.
//
// Bugs are not errors: a violated invariant is a HADAL_CHECK (check.h). Errors are for what a user,
// a file or a device did. The sentence names what was found and what was wanted; the code decides
// the treatment (the server maps codes to HTTP statuses in one place, main to exit codes).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "hadal/base/check.h"

namespace hadal {

enum class ErrorCode {
  kInvalidArgument,    // the caller's value is wrong
  kNotFound,           // a named thing does not exist
  kTooLarge,           // over a limit; the sentence names the limit
  kResourceExhausted,  // no room now, may succeed later
  kUnavailable,        // not accepting work (loading, draining, failed)
  kUnsupported,        // understood, but not offered
  kBadFile,            // a file's content is wrong
  kIo,                 // the operating system refused
  kDevice,             // GPU or collective failure
  kInternal,           // what should not happen but must not abort
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string param = {};  // the offending parameter or key, when there is one
};

// A value of T or an Error. Never empty. Test with ok() before value() or error().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // REQUIRES: ok().
  T& value() & {
    HADAL_CHECK(ok(), "value() of an error: {}", error_text());
    return std::get<0>(state_);
  }
  const T& value() const& {
    HADAL_CHECK(ok(), "value() of an error: {}", error_text());
    return std::get<0>(state_);
  }
  T&& value() && {
    HADAL_CHECK(ok(), "value() of an error: {}", error_text());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES: !ok().
  const Error& error() const {
    HADAL_CHECK(!ok(), "error() of a value");
    return std::get<1>(state_);
  }

 private:
  std::string error_text() const { return ok() ? std::string() : std::get<1>(state_).message; }
  std::variant<T, Error> state_;
};

// The same without a value.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  // REQUIRES: !ok().
  const Error& error() const {
    HADAL_CHECK(!ok(), "error() of a success");
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace hadal

// Returns the error of a Status- or Result-valued expression from the enclosing function.
#define HADAL_RETURN_IF_ERROR(expr)                    \
  do {                                                 \
    if (auto hadal_status_ = (expr); !hadal_status_) { \
      return hadal_status_.error();                    \
    }                                                  \
  } while (false)

#define HADAL_CONCAT_INNER(a, b) a##b
#define HADAL_CONCAT(a, b) HADAL_CONCAT_INNER(a, b)
#define HADAL_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                                 \
  if (!tmp) return tmp.error();                      \
  lhs = std::move(tmp).value()

// HADAL_ASSIGN_OR_RETURN(auto x, f()): x = the value, or returns the error.
#define HADAL_ASSIGN_OR_RETURN(lhs, expr) \
  HADAL_ASSIGN_OR_RETURN_INNER(HADAL_CONCAT(hadal_result_, __LINE__), lhs, expr)
