#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "attend/core/error.hpp"

/// `call` throws exactly an E whose text contains every one of `parts`.
template <class E, class F>
void expect_error(const F& call, const std::vector<std::string>& parts) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; the error was to name " << parts.front();
  } catch (const E& error) {
    for (const auto& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks " << part;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception was thrown: " << error.what();
  }
}
