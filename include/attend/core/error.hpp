#pragma once
#include <stdexcept>
#include <string>

#include "attend/core/namespace.hpp"
#include "attend/core/text.hpp"

ATTEND_BEGIN

template <class T>
inline char type_tag = 0;  // its address names T

/// What tells two layers apart. A struct and its first member share an address, so the type is part of the key.
struct LayerKey {
  const void* address = nullptr;
  const void* type = nullptr;
  friend bool operator==(const LayerKey& a, const LayerKey& b) { return a.address == b.address && a.type == b.type; }
};
template <class L>
LayerKey key_of(const L& layer) {
  return {&layer, &type_tag<L>};
}

/// what(): "path.of.layer: [operation] argument has shape S; rule, with the expected value"
class Error : public std::runtime_error {
 public:
  Error(const char* operation, const std::string& message)
      : std::runtime_error(message), text_(std::string("[").append(operation).append("] ").append(message)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  /// On its way up the error passes each enclosing layer, which puts the name of the child it came from in front.
  void passes(const LayerKey& layer, const std::string& child) {
    if (!child.empty()) text_ = child + (named_ ? "." : ": ") + text_;
    named_ = named_ || !child.empty();
    origin_ = layer;
  }
  const LayerKey& origin() const { return origin_; }

 private:
  std::string text_;
  LayerKey origin_;
  bool named_ = false;
};
struct ShapeError : Error {
  using Error::Error;
};
struct OptionError : Error {
  using Error::Error;
};
/// A file that is missing, broken or cannot be written: the text begins with its path.
struct FileError : Error {
  using Error::Error;
};

namespace detail {
template <class E>
[[noreturn]] ATTEND_COLD void fail(const char* operation, const std::string& text) {
  throw E(operation, text);
}
}  // namespace detail

/// Throws unless `ok`. The text is a callable: nothing is built when the check passes.
template <class E = ShapeError, class Text>
void require(bool ok, const char* operation, Text&& text) {
  if (!ok) detail::fail<E>(operation, text());
}

ATTEND_END
