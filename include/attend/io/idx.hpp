#pragma once
/// IDX, the format of MNIST and Fashion-MNIST (http://yann.lecun.com/exdb/mnist): two zero bytes, the type, the rank,
/// the extents, the elements; everything big-endian.
#include "attend/core/tensor.hpp"
#include "attend/io/checked.hpp"
#include "attend/io/deflate.hpp"
#include "attend/io/dtype.hpp"

ATTEND_BEGIN

namespace detail {
template <class S>
constexpr int idx_type() {
  constexpr Dtype d = dtype_of<S>();
  constexpr int code = d == Dtype::U8    ? 0x08
                       : d == Dtype::I8  ? 0x09
                       : d == Dtype::I16 ? 0x0B
                       : d == Dtype::I32 ? 0x0C
                       : d == Dtype::F32 ? 0x0D
                       : d == Dtype::F64 ? 0x0E
                                         : 0;
  static_assert(code != 0, "attend: IDX files hold uint8, int8, int16, int32, float or double");
  return code;
}
inline std::string idx_type_name(int code) {
  const char* names[] = {"uint8", "int8", "?", "int16", "int32", "float", "double"};
  if (code >= 0x08 && code <= 0x0E && code != 0x0A) return names[code - 0x08];
  return message("unknown (", code, ")");
}
}  // namespace detail

/// Reads an IDX file, plain or gzip'ed (told by its first bytes), of exactly the scalar and rank asked for:
/// `read_idx<std::uint8_t, 3>("train-images-idx3-ubyte.gz")` is [image, row, column]. FileError if it is anything else,
/// too short, too long, or larger than `limit` bytes.
template <class S, int R>
Tensor<S, R> read_idx(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t(1) << 32) {
  const FileSource source{"read_idx", path};
  const FileBytes file = read_file(source, limit);
  source.require(file.size >= 4,
                 [&] { return message("has ", file.size, " bytes; an IDX file begins with 4 that tell its type"); });
  const bool gzip = file.begin()[0] == std::byte(0x1f) && file.begin()[1] == std::byte(0x8b);
  std::optional<detail::Inflate> inflate;
  if (gzip) inflate.emplace(source, file.begin(), file.size, Compression::gzip);
  std::size_t at = 0;
  const auto take = [&](void* to, std::size_t count) {
    if (gzip) return inflate->read(to, count);
    source.require(count <= file.size - at, [&] { return message("ends ", count - (file.size - at), " bytes early"); });
    if (count > 0) std::memcpy(to, file.begin() + at, count);
    at += count;
  };

  unsigned char magic[4];
  take(magic, 4);
  source.require(magic[0] == 0 && magic[1] == 0, [&] {
    return message("begins with ", excerpt({reinterpret_cast<const char*>(magic), 4}),
                   "; an IDX file begins with two zero bytes");
  });
  source.require(magic[2] == detail::idx_type<S>(), [&] {
    return message("has elements of type ", detail::idx_type_name(magic[2]), "; ",
                   detail::idx_type_name(detail::idx_type<S>()), " was asked for");
  });
  source.require(magic[3] == R, [&] { return message("has rank ", magic[3], "; rank ", R, " was asked for"); });
  Shape<R> shape{};
  Checked bytes = sizeof(S);
  for (Index& extent : shape) {
    std::byte number[4];
    take(number, 4);
    extent = static_cast<Index>(detail::load_bytes<std::uint32_t>(number, false));
    bytes = bytes * static_cast<std::uint64_t>(extent);
  }
  const std::uint64_t most = std::min(limit, gzip ? file.size * detail::most_deflation : file.size);
  const auto size = bytes.at_most(most);
  source.require(size.has_value(), [&] {
    return message("announces shape ", shape, ", more than a file of ", file.size, " bytes can hold");
  });
  Tensor<S, R> tensor(shape);
  take(tensor.data(), static_cast<std::size_t>(*size));
  if (gzip)
    inflate->finish();
  else
    source.require(at == file.size, [&] { return message("has ", file.size - at, " bytes behind the last element"); });
  if constexpr (sizeof(S) > 1)
    for (Index i = 0; i < tensor.size(); ++i)
      tensor.data()[i] = detail::load_bytes<S>(reinterpret_cast<const std::byte*>(tensor.data() + i), false);
  return tensor;
}

/// Writes a tensor of uint8, int8, int16, int32, float or double; gzip'ed if the name ends in .gz.
template <class T>
void write_idx(const std::filesystem::path& path, const T& tensor) {
  static_assert(TensorTraits<T>::value, "attend: write_idx takes a row-major Tensor or a TensorMap of one");
  using S = typename TensorTraits<T>::Scalar;
  const auto shape = shape_of(tensor);
  static_assert(TensorTraits<T>::rank < 256, "attend: IDX counts axes in one byte");
  const FileSource source{"write_idx", path};
  std::vector<std::byte> bytes(4 + 4 * shape.size() + static_cast<std::size_t>(tensor.size()) * sizeof(S));
  bytes[2] = std::byte(detail::idx_type<S>()), bytes[3] = std::byte(shape.size());
  std::byte* at = bytes.data() + 4;
  for (const Index extent : shape) {
    require(extent <= 0xffffffff, "write_idx",
            [&] { return message("x has shape ", shape, "; an IDX extent has 32 bits"); });
    detail::store_bytes(static_cast<std::uint32_t>(extent), at, false);
    at += 4;
  }
  for (Index i = 0; i < tensor.size(); ++i, at += sizeof(S)) detail::store_bytes(tensor.data()[i], at, false);
  if (path.extension() == ".gz") bytes = compressed(bytes.data(), bytes.size(), Compression::gzip);
  write_file(source, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

ATTEND_END
