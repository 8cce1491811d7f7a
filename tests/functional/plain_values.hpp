#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "attend/testing/gradient_check.hpp"

// Small Variables, their numbers, and tables of mistakes: what the tests of arithmetic, reductions and products share.
using V1 = attend::Variable<double, 1>;
using V3 = attend::Variable<double, 3>;
using V4 = attend::Variable<double, 4>;

inline V1 vector(std::initializer_list<double> values) {
  attend::Tensor<double, 1> t(static_cast<attend::Index>(values.size()));
  std::copy(values.begin(), values.end(), t.data());
  return V1(t);
}
inline V3 zeros(attend::Index a, attend::Index b, attend::Index c) {
  attend::Tensor<double, 3> t(a, b, c);
  t.setZero();
  return V3(t);
}
template <class V>
std::vector<double> values(const V& v) {
  return {v.data(), v.data() + v.size()};
}
inline void expect_ok(const std::string& name, const attend::testing::GradientReport& report) {
  EXPECT_TRUE(report.ok()) << name << ": " << report.text();
}

/// A call that must throw a ShapeError whose text has all the parts.
struct Bad {
  std::function<void()> call;
  std::vector<std::string> parts;
};
inline void expect_bad(const std::vector<Bad>& cases) {
  for (const auto& b : cases) {
    try {
      b.call();
      ADD_FAILURE() << "nothing thrown for " << b.parts[0];
    } catch (const attend::ShapeError& error) {
      for (const auto& part : b.parts)
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << " lacks " << part;
    }
  }
}
