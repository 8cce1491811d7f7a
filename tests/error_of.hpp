#pragma once
#include <string>

#include "attend/core/error.hpp"

/// The text of the library's error that `f` throws, or "no error".
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const attend::Error& e) {
    return e.what();
  }
  return "no error";
}
