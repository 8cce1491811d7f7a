#include "attend/functional/shape.hpp"

#include <gtest/gtest.h>

#include "attend/functional/concat.hpp"
#include "attend/functional/expand.hpp"
#include "attend/testing/gradient_check.hpp"

namespace shape_test {
using namespace attend;
using namespace attend::testing;

namespace {
using V1 = Variable<double, 1>;
using V2 = Variable<double, 2>;
using V3 = Variable<double, 3>;
using V4 = Variable<double, 4>;
using List = std::vector<double>;

/// 0, 1, 2, ...
template <int R>
Tensor<double, R> count(const Shape<R>& shape) {
  Tensor<double, R> t(shape);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = double(i);
  return t;
}
template <int R>
Variable<double, R> counted(const Shape<R>& shape) {
  return Variable<double, R>(count<R>(shape));
}
template <class V>
List values(const V& v) {
  return {v.data(), v.data() + v.size()};
}
void expect_ok(const std::string& name, const GradientReport& report) {
  EXPECT_TRUE(report.ok()) << name << ": " << report.text();
}
}  // namespace

TEST(Shape, HandComputed) {
  const V2 x = counted<2>({2, 3});  // 0 1 2 / 3 4 5
  EXPECT_EQ(values(slice(x, 1, 3, 1)), (List{1, 2, 4, 5}));
  EXPECT_EQ(values(slice(x, 0, to_end, -1, 2)), (List{0, 2, 3, 5}));
  EXPECT_EQ(values(slice(x, -1, to_end, 0)), (List{3, 4, 5}));
  EXPECT_EQ(values(slice(x, 0, -1, 1)), (List{0, 1, 3, 4}));
  EXPECT_EQ(values(select(x, 1, 0)), (List{3, 4, 5}));
  EXPECT_EQ(values(select(x, -1, 1)), (List{2, 5}));
  EXPECT_EQ(values(transpose(x, {1, 0})), (List{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values(flip(x, 1)), (List{2, 1, 0, 5, 4, 3}));
  EXPECT_EQ(values(flip(x, 0)), (List{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(values(pad(x, 1, 2, 1, 9)), (List{9, 0, 1, 2, 9, 9, 9, 3, 4, 5, 9, 9}));
  EXPECT_EQ(values(pad(x, 0, 1, 0)), (List{0, 1, 2, 3, 4, 5, 0, 0, 0}));
  EXPECT_EQ(values(concat({x, slice(x, 0, 1, 1)}, 1)), (List{0, 1, 2, 0, 3, 4, 5, 3}));
  EXPECT_EQ(values(stack({x, x}, 2)), (List{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}));
  EXPECT_EQ(values(stack({x, x}, -3)), (List{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values(expand(slice(x, 0, 1, 1), Shape<2>{2, 3})), (List{0, 0, 0, 3, 3, 3}));
  EXPECT_EQ(values(repeat(x, Shape<2>{1, 2})), (List{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}));
  EXPECT_EQ(values(repeat(x, Shape<2>{2, 1})), (List{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values(repeat_batch(slice(x, 0, 1, 0), 2)), (List{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(values(pad_sequences(std::vector<V1>{counted<1>({1}), counted<1>({3}), counted<1>({0})}, -1)),
            (List{0, -1, -1, 0, 1, 2, -1, -1, -1}));
  const auto parts = split(x, {1, 0, 2}, 1);
  EXPECT_EQ(values(parts[0]), (List{0, 3}));
  EXPECT_EQ(parts[1].shape(), (Shape<2>{2, 0}));
  EXPECT_EQ(values(parts[2]), (List{1, 2, 4, 5}));
  EXPECT_EQ(values(chunk(x, 3, -1)[1]), (List{1, 4}));
  EXPECT_EQ(flatten(counted<4>({2, 3, 4, 5})).shape(), (Shape<2>{2, 60}));
  EXPECT_EQ(flatten<2>(counted<4>({2, 3, 4, 5})).shape(), (Shape<3>{2, 3, 20}));
  EXPECT_EQ(flatten<0>(counted<4>({2, 3, 4, 5})).shape(), (Shape<1>{120}));
}

TEST(Shape, EveryOrderOfFourAxes) {
  const auto x = count<4>({2, 3, 4, 5});
  std::array<int, 4> order{0, 1, 2, 3};
  do {
    const auto y = transpose(V4(x), order).tensor();
    for (Index i = 0; i < y.dimension(0); ++i)
      for (Index j = 0; j < y.dimension(1); ++j)
        for (Index k = 0; k < y.dimension(2); ++k)
          for (Index l = 0; l < y.dimension(3); ++l) {
            const Index at[] = {i, j, k, l};
            Index in[4];
            for (std::size_t a = 0; a < 4; ++a) in[order[a]] = at[a];
            ASSERT_EQ(y(i, j, k, l), x(in[0], in[1], in[2], in[3])) << to_string(order);
          }
    expect_ok(to_string(order), check_function_gradients([=](const V4& v) { return transpose(v, order); }, x));
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Shape, GradientsAgreeWithDifferences) {
  for (const auto& shape : {Shape<3>{3, 4, 5}, Shape<3>{1, 4, 1}, Shape<3>{2, 1, 3}}) {
    const auto x = random_tensor<double, 3>(shape, 1);
    for (int axis = 0; axis < 3; ++axis) {
      const Index n = shape[std::size_t(axis)];
      const std::string name = to_string(shape) + " axis " + std::to_string(axis);
      expect_ok("slice " + name, check_function_gradients([=](const V3& v) { return slice(v, n / 2, n, axis); }, x));
      expect_ok("slice by 2 " + name,
                check_function_gradients([=](const V3& v) { return slice(v, 0, to_end, axis, 2); }, x));
      expect_ok("select " + name, check_function_gradients([=](const V3& v) { return select(v, -1, axis); }, x));
      expect_ok("flip " + name, check_function_gradients([=](const V3& v) { return flip(v, axis - 3); }, x));
      expect_ok("pad " + name, check_function_gradients([=](const V3& v) { return pad(v, 2, 1, axis, 0.5); }, x));
      expect_ok("split " + name, check_function_gradients(
                                     [=](const V3& v) {
                                       const auto p = split(v, {n - 1, 1}, axis);
                                       return concat({p[1], p[0], p[1]}, axis);
                                     },
                                     x));
      const auto other = random_tensor<double, 3>(
          [&] {
            auto s = shape;
            s[std::size_t(axis)] = 2;
            return s;
          }(),
          2);
      expect_ok("concat " + name, check_function_gradients(
                                      [=](const V3& a, const V3& b) {
                                        return concat({a, b, a}, axis);
                                      },
                                      x, other));
      expect_ok("stack " + name, check_function_gradients(
                                     [=](const V3& a) {
                                       return stack({a, flip(a, 0)}, axis);
                                     },
                                     x));
    }
    expect_ok("stack last", check_function_gradients([](const V3& a) { return stack({a, a}, -1); }, x));
    expect_ok("flatten", check_function_gradients([](const V3& a) { return flatten(a); }, x));
    expect_ok("repeat", check_function_gradients([](const V3& a) { return repeat(a, Shape<3>{2, 1, 3}); }, x));
    expect_ok("pad_sequences", check_function_gradients(
                                   [](const V3& a) {
                                     return pad_sequences(std::vector<V3>{a, slice(a, 0, 1, 0)}, 3);
                                   },
                                   x));
  }
  const auto one = random_tensor<double, 3>({1, 3, 1}, 1);
  expect_ok("expand", check_function_gradients([](const V3& a) { return expand(a, Shape<3>{4, 3, 5}); }, one));
  expect_ok("repeat_batch", check_function_gradients([](const V3& a) { return repeat_batch(a, 7); }, one));
}

TEST(Shape, ConcatOfValuesOnAndOffTheTape) {
  Tape<double> tape(Mode::training);
  const V1 constant = counted<1>({2});
  const auto x = tape.want(tape.input(count<1>({3})));
  const auto y = concat({constant, x, constant}, 0);
  EXPECT_EQ(values(y), (List{0, 1, 0, 1, 2, 0, 1}));
  EXPECT_EQ(values(V1(tape.backward(dot(y, y)).of(x))), (List{0, 2, 4}));
  Tape<double> a(Mode::training), b(Mode::training);
  EXPECT_THROW((void)concat({a.input(count<1>({3})), b.input(count<1>({3}))}, 0), OptionError);
}

TEST(Shape, LargeCopiesForAnyNumberOfThreads) {
  const auto x = random_tensor<float, 4>({20, 30, 4, 33}, 1);
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    const Variable<float, 4> v(x);
    const auto back = transpose(transpose(v, {0, 2, 1, 3}), {0, 2, 1, 3}), twice = flip(flip(v, 1), 1);
    const auto joined = concat(split(v, {7, 13, 10}, 1), 1);
    for (const auto* y : {&back, &twice, &joined}) EXPECT_TRUE(std::equal(x.data(), x.data() + x.size(), y->data()));
  }
  set_num_threads(2);
}

TEST(Shape, TranspositionsInTiles) {  // extents beyond a tile and no multiples of it
  const auto x = random_tensor<float, 4>({2, 37, 3, 21}, 1);
  const Variable<float, 4> v(x);
  const auto y = transpose(v, {0, 3, 2, 1});
  for (Index b = 0; b < 2; ++b)
    for (Index i = 0; i < 37; ++i)
      for (Index h = 0; h < 3; ++h)
        for (Index j = 0; j < 21; ++j)
          ASSERT_EQ(y.data()[((b * 21 + j) * 3 + h) * 37 + i], x(b, i, h, j)) << b << " " << i << " " << h << " " << j;
  const auto report = check_function_gradients(
      [](const auto& a) {
        return transpose(a, {0, 3, 2, 1});
      },
      random_tensor<double, 4>({1, 17, 2, 18}, 2));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Shape, FM_2_3_EmptyExtents) {
  const V3 x(Tensor<double, 3>(0, 3, 4));
  EXPECT_EQ(slice(x, 1, 2, 1).shape(), (Shape<3>{0, 1, 4}));
  EXPECT_EQ(slice(x, 0, to_end, 0).shape(), (Shape<3>{0, 3, 4}));
  EXPECT_EQ(transpose(x, {2, 0, 1}).shape(), (Shape<3>{4, 0, 3}));
  EXPECT_EQ(flip(x, 0).size(), 0);
  EXPECT_EQ(values(pad(x, 1, 0, 0, 2)), List(12, 2));
  EXPECT_EQ(concat({x, x}, 1).shape(), (Shape<3>{0, 6, 4}));
  EXPECT_EQ(values(concat({x, counted<3>({1, 3, 4})}, 0)).size(), 12u);
  EXPECT_EQ(stack({x, x}, 0).shape(), (Shape<4>{2, 0, 3, 4}));
  EXPECT_EQ(flatten(x).shape(), (Shape<2>{0, 12}));
  EXPECT_EQ(repeat_batch(counted<2>({1, 3}), 0).shape(), (Shape<2>{0, 3}));
  EXPECT_EQ(slice(counted<1>({3}), 2, 2, 0).size(), 0);
}

TEST(Shape, FM_2_3_SizesThatNoMemoryHolds) {
  const V2 x = counted<2>({1, 3});
  constexpr Index huge = std::numeric_limits<Index>::max();
  EXPECT_THROW((void)expand(x, Shape<2>{huge, 3}), ShapeError);
  EXPECT_THROW((void)repeat_batch(x, huge / 2), ShapeError);
  EXPECT_THROW((void)repeat(x, Shape<2>{2, huge / 2}), ShapeError);
  EXPECT_THROW((void)pad(x, huge, huge, 0), ShapeError);
  EXPECT_THROW((void)pad(x, huge / 32, huge / 32, 0), ShapeError);
  EXPECT_THROW((void)split(x, {huge, huge, 5}, 1), ShapeError);
  EXPECT_THROW((void)slice(x, -huge, huge, 1), ShapeError);
  EXPECT_EQ(values(slice(x, 1, to_end, 1, huge)), List{1});
}

TEST(BadInput, Shape) {
  const V3 x = counted<3>({2, 3, 4});
  const struct {
    std::function<void()> call;
    std::vector<std::string> parts;
  } bad[] = {
      {[&] { (void)slice(x, 0, 1, 3); }, {"[slice] x has shape (2, 3, 4)", "[-3, 3)", "is 3"}},
      {[&] { (void)slice(x, 0, 1, -4); }, {"is -4"}},
      {[&] { (void)slice(x, 1, 4, 1); }, {"[slice] x has shape (2, 3, 4)", "axis 1 must lie in [0, 3)", "[1, 4)"}},
      {[&] { (void)slice(x, 2, 1, 1); }, {"[2, 1)"}},
      {[&] { (void)slice(x, -5, 1, 1); }, {"[-2, 1)"}},
      {[&] { (void)select(x, 2, 0); }, {"[select] x has shape (2, 3, 4)", "[-2, 2)", "is 2"}},
      {[&] { (void)select(x, -3, 0); }, {"is -3"}},
      {[&] {
         (void)split(x, {1, 1}, 1);
       },
       {"[split] x has shape (2, 3, 4)", "(1, 1) must add up to 3"}},
      {[&] {
         (void)split(x, {4, -1}, 1);
       },
       {"(4, -1)"}},
      {[&] { (void)chunk(x, 2, 1); }, {"[chunk] x has shape (2, 3, 4)", "divisible into 2"}},
      {[&] { (void)chunk(x, 0, 1); }, {"into 0 parts"}},
      {[&] {
         (void)transpose(x, {0, 1, 1});
       },
       {"[transpose] x has shape (2, 3, 4)", "order (0, 1, 1)"}},
      {[&] {
         (void)transpose(x, {0, 1, 3});
       },
       {"order (0, 1, 3)"}},
      {[&] { (void)flip(x, 3); }, {"[flip]", "is 3"}},
      {[&] { (void)pad(x, 0, 0, 5); }, {"[pad]", "is 5"}},
      {[&] {
         (void)concat({x, counted<3>({2, 3, 5})}, 1);
       },
       {"[concat] a value has shape (2, 3, 5)", "(2, 3, 4)", "axis 1"}},
      {[&] {
         (void)concat({x, x}, 3);
       },
       {"[concat]", "is 3"}},
      {[&] {
         (void)stack({x, counted<3>({2, 3, 5})}, 1);
       },
       {"[stack] a value has shape (2, 3, 5)", "(2, 3, 4)"}},
      {[&] {
         (void)stack({x, x}, 4);
       },
       {"[stack] the values have shape (2, 3, 4)", "[-4, 3]", "is 4"}},
      {[&] {
         (void)pad_sequences(std::vector<V3>{x, counted<3>({2, 4, 4})});
       },
       {"[pad_sequences] a sequence has shape (2, 4, 4)", "(2, 3, 4)"}},
      {[&] {
         (void)expand(x, Shape<3>{2, 3, 5});
       },
       {"[expand] x has shape (2, 3, 4)", "(2, 3, 5)", "axis 2 must be 1 or 5"}},
      {[&] {
         (void)expand(counted<3>({2, 1, 4}), Shape<3>{2, -1, 4});
       },
       {"[expand]", "(2, -1, 4)"}},
      {[&] { (void)repeat_batch(x, 3); }, {"[repeat_batch] x has shape (2, 3, 4)", "first axis must be 1"}},
  };
  for (const auto& b : bad) {
    try {
      b.call();
      ADD_FAILURE() << "nothing thrown for " << b.parts[0];
    } catch (const ShapeError& error) {
      for (const auto& part : b.parts)
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << " lacks " << part;
    }
  }
  EXPECT_THROW((void)slice(x, 0, 2, 1, 0), OptionError);
  EXPECT_THROW((void)slice(x, 0, 2, 1, -1), OptionError);
  EXPECT_THROW((void)pad(x, -1, 2, 1), OptionError);
  EXPECT_THROW((void)repeat(x, Shape<3>{1, -1, 1}), OptionError);
  EXPECT_THROW((void)concat(std::vector<V3>{}, 0), OptionError);
  EXPECT_THROW((void)stack(std::vector<V3>{}, 0), OptionError);
  EXPECT_THROW((void)pad_sequences(std::vector<V3>{}), OptionError);
}
}  // namespace shape_test
