// Round trips of .npy, .npz and IDX, and files as their reference programs write them.
#include <gtest/gtest.h>

#include "attend/io/idx.hpp"
#include "attend/io/npz.hpp"
#include "io/temporary_folder.hpp"

namespace array_files_test {
namespace {
using namespace attend;

template <class S, int R>
Tensor<S, R> sample(const Shape<R>& shape) {
  Tensor<S, R> x(shape);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<S>(i % 3 == 0 ? 7 * i : 100 - i);
  return x;
}
template <class S, int R>
bool same(const Tensor<S, R>& a, const Tensor<S, R>& b) {
  return shape_of(a) == shape_of(b) &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(S)) == 0);
}
template <class S>
void round_trip_npy(const std::filesystem::path& path) {
  const auto cube = sample<S, 3>({2, 3, 5});
  write_npy(path, cube);
  EXPECT_TRUE(same(read_npy<S, 3>(path), cube)) << to_string(dtype_of<S>());
  EXPECT_EQ(NpyFile(path).array().dtype(), dtype_of<S>());
  EXPECT_EQ(get_bytes(path).size() % 64, (30 * sizeof(S)) % 64);  // the data begins at a multiple of 64
}

TEST(Npy, every_type_and_rank_comes_back) {
  const TemporaryFolder folder;
  round_trip_npy<float>(folder / "x");
  round_trip_npy<double>(folder / "x");
  round_trip_npy<std::int8_t>(folder / "x");
  round_trip_npy<std::int16_t>(folder / "x");
  round_trip_npy<std::int32_t>(folder / "x");
  round_trip_npy<std::int64_t>(folder / "x");
  round_trip_npy<std::uint8_t>(folder / "x");
  round_trip_npy<std::uint16_t>(folder / "x");
  round_trip_npy<std::uint32_t>(folder / "x");
  round_trip_npy<std::uint64_t>(folder / "x");
  round_trip_npy<bool>(folder / "x");
  write_npy(folder / "scalar", sample<float, 0>({}));
  EXPECT_EQ((read_npy<double, 0>(folder / "scalar")()), 0);
  write_npy(folder / "vector", sample<float, 1>({4}));
  EXPECT_EQ((read_npy<double, 1>(folder / "vector")(3)), 21);
  write_npy(folder / "empty", sample<float, 4>({2, 0, 3, 1}));
  EXPECT_EQ(shape_of(read_npy<float, 4>(folder / "empty")), (Shape<4>{2, 0, 3, 1}));
}

TEST(Npy, reads_versions_1_2_and_3_as_numpy_writes_them) {
  const TemporaryFolder folder;
  const std::string header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }   \n",
                    data("\x01\x02\xff\xff", 4);
  for (const int version : {1, 2, 3}) {
    put_bytes(folder / "x", "\x93NUMPY" + little(static_cast<unsigned>(version), 2) +
                                little(header.size(), version == 1 ? 2 : 4) + header + data);
    const auto x = read_npy<std::int16_t, 1>(folder / "x");
    EXPECT_EQ(x(0), 0x201);
    EXPECT_EQ(x(1), -1);
  }
  // Other programs order keys, quote and space in their own way.
  const std::string other = "{\"shape\":(1 , 2),\"descr\":\"|u1\",\"fortran_order\":False}";
  put_bytes(folder / "y", "\x93NUMPY" + little(1, 2) + little(other.size(), 2) + other + "ab");
  EXPECT_EQ((read_npy<int, 2>(folder / "y")(0, 1)), 'b');
  const std::string half = "{'descr': '<f2', 'fortran_order': False, 'shape': (), }";
  put_bytes(folder / "z", "\x93NUMPY" + little(1, 2) + little(half.size(), 2) + half + std::string("\0\x3e", 2));
  EXPECT_EQ((read_npy<float, 0>(folder / "z")()), 1.5f);
}

// Eigen's default is column-major, NumPy's row-major: numpy.save of [[1, 2, 3], [4, 5, 6]] comes back so; Fortran order is
// refused, never read transposed.
TEST(Trap, T30_numpy_arrays_are_row_major) {
  const TemporaryFolder folder;
  const auto file = [](const char* fortran) {
    const std::string header = std::string("{'descr': '|u1', 'fortran_order': ") + fortran + ", 'shape': (2, 3), }\n";
    return "\x93NUMPY" + little(1, 2) + little(header.size(), 2) + header + "\1\2\3\4\5\6";
  };
  put_bytes(folder / "x", file("False"));
  const auto x = read_npy<int, 2>(folder / "x");
  EXPECT_EQ(x(0, 1), 2);
  EXPECT_EQ(x(1, 0), 4);
  put_bytes(folder / "x", file("True"));
  EXPECT_THROW((read_npy<int, 2>(folder / "x")), FileError);
}

TEST(Npz, arrays_come_back_stored_and_compressed) {
  const TemporaryFolder folder;
  const auto a = sample<float, 3>({4, 30, 20});
  const auto b = sample<std::int64_t, 1>({3});
  const auto c = sample<std::uint8_t, 2>({0, 5});
  for (const bool compress : {false, true}) {
    NpzWriter().add("a", a).add("layer.b", b).add("c", c).write(folder / "x.npz", compress);
    const NpzFile file(folder / "x.npz");
    EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "c", "layer.b"}));
    EXPECT_TRUE(same(file.tensor<float, 3>("a"), a));
    EXPECT_TRUE(same(file.tensor<std::int64_t, 1>("layer.b"), b));
    EXPECT_TRUE(same(file.tensor<std::uint8_t, 2>("c"), c));
    EXPECT_EQ(file.dtype("layer.b"), Dtype::I64);
    EXPECT_EQ(file.shape("a"), (std::vector<Index>{4, 30, 20}));
    EXPECT_EQ(file.flat<double>("a")(4), 96);
    EXPECT_FALSE(file.contains("b"));
  }
  EXPECT_LT(get_bytes(folder / "x.npz").size(), 9600u);  // it did compress
  NpzWriter().write(folder / "none.npz");
  EXPECT_TRUE(NpzFile(folder / "none.npz").names().empty());
}

TEST(Npz, the_same_arrays_give_the_same_file) {
  const TemporaryFolder folder;
  const auto a = sample<float, 2>({3, 2});
  NpzWriter().add("a", a).write(folder / "x");
  NpzWriter().add("a", a).write(folder / "y");
  EXPECT_EQ(get_bytes(folder / "x"), get_bytes(folder / "y"));
}

TEST(Npz, reads_a_file_with_a_comment_and_extra_fields) {
  const TemporaryFolder folder;
  NpzWriter().add("a", sample<float, 1>({3})).write(folder / "x");
  std::string bytes = get_bytes(folder / "x");
  bytes[bytes.size() - 2] = 5;  // the length of a comment
  put_bytes(folder / "x", bytes + "hello");
  EXPECT_EQ(NpzFile(folder / "x").flat<float>("a")(0), 0);
}

TEST(Idx, every_type_comes_back_plain_and_compressed) {
  const TemporaryFolder folder;
  const auto check = [&](const auto& x) {
    using T = std::decay_t<decltype(x)>;
    for (const char* name : {"x.idx", "x.idx.gz"}) {
      write_idx(folder / name, x);
      EXPECT_TRUE(same(read_idx<typename T::Scalar, T::NumIndices>(folder / name), x)) << name;
    }
  };
  check(sample<std::uint8_t, 3>({5, 28, 28}));
  check(sample<std::uint8_t, 1>({1000}));
  check(sample<std::int8_t, 2>({3, 2}));
  check(sample<std::int16_t, 2>({3, 2}));
  check(sample<std::int32_t, 4>({1, 3, 2, 5}));
  check(sample<float, 2>({3, 2}));
  check(sample<double, 1>({7}));
  check(sample<float, 0>({}));
  check(sample<std::uint8_t, 2>({0, 4}));
  EXPECT_EQ(get_bytes(folder / "x.idx").substr(0, 4), std::string("\0\0\x08\x02", 4));
}

TEST(Idx, is_big_endian) {
  const TemporaryFolder folder;
  put_bytes(folder / "x", std::string("\0\0\x0c\x01\0\0\0\x02\0\0\x01\x02\xff\xff\xff\xfe", 16));
  const auto x = read_idx<std::int32_t, 1>(folder / "x");
  EXPECT_EQ(x(0), 0x102);
  EXPECT_EQ(x(1), -2);
}

TEST(Idx, reads_fashion_mnist) {
  const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const auto images = read_idx<std::uint8_t, 3>(folder / "t10k-images-idx3-ubyte.gz");
  const auto labels = read_idx<std::uint8_t, 1>(folder / "t10k-labels-idx1-ubyte.gz");
  ASSERT_EQ(shape_of(images), (Shape<3>{10000, 28, 28}));
  ASSERT_EQ(labels.size(), 10000);
  Index counts[10] = {};
  for (Index i = 0; i < labels.size(); ++i) ++counts[labels(i)];
  for (const Index count : counts) EXPECT_EQ(count, 1000);
}
}  // namespace
}  // namespace array_files_test
