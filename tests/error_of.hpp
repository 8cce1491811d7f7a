#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "attend/core/error.hpp"

/// The text of the library's error that `f` throws, or "no error".
template <class E = attend::Error, class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

/// `call` throws an E, no other of the library's errors, whose text contains every one of `parts`.
template <class E, class F>
void expect_error(const F& call, const std::vector<std::string>& parts) {
  try {
    const std::string text = error_of<E>(call);
    EXPECT_NE(text, "no error");
    for (const auto& part : parts) EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks " << part;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception was thrown: " << error.what();
  }
}
