#pragma once
#include <algorithm>
#include <map>
#include <vector>

#include "attend/core/tensor.hpp"
#include "attend/io/checked.hpp"
#include "attend/io/dtype.hpp"

ATTEND_BEGIN

/// An array in the memory of a file, already validated: `bytes` holds exactly the product of `shape` elements, C order,
/// little-endian. It lives no longer than the bytes do.
///
/// Reading converts to the scalar asked for: to float or double from every type, rounding to nearest (an F64 that is
/// finite but too large for float is refused); to an integer from BOOL and integers whose every value fits; to bool
/// from BOOL.
class StoredArray {
 public:
  StoredArray(const FileSource& source, std::string name, Dtype dtype, std::vector<Index> shape, const std::byte* bytes)
      : source_(&source), name_(std::move(name)), dtype_(dtype), shape_(std::move(shape)), bytes_(bytes) {}
  Dtype dtype() const { return dtype_; }
  const std::vector<Index>& shape() const { return shape_; }
  Index size() const {
    Index count = 1;
    for (const Index extent : shape_) count *= extent;  // bounded by the file's size
    return count;
  }
  /// Throws FileError unless the rank is `R` and the values convert.
  template <class S, int R>
  Tensor<S, R> tensor() const {
    source_->require(shape_.size() == R,
                     [&] { return message(described(), " has shape ", shape_, "; rank ", R, " was asked for"); });
    Shape<R> shape{};
    for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = shape_[i];
    Tensor<S, R> result(shape);
    read(result.data());
    return result;
  }
  /// All elements in order, whatever the rank.
  template <class S>
  Tensor<S, 1> flat() const {
    Tensor<S, 1> result(size());
    read(result.data());
    return result;
  }
  template <class S>
  void read(S* to) const {
    source_->require(detail::converts<S>(dtype_), [&] {
      return message(described(), " has type ", dtype_, "; it cannot be read as ", dtype_of<S>());
    });
    const Index done = detail::convert_array(dtype_, bytes_, size(), to);
    source_->require(done == size(), [&] {
      return message(described(), " has type ", dtype_, "; element ", done, " does not fit ", dtype_of<S>());
    });
  }

 private:
  std::string described() const { return name_.empty() ? "the array" : "tensor " + excerpt(name_); }
  const FileSource* source_;
  std::string name_;
  Dtype dtype_;
  std::vector<Index> shape_;
  const std::byte* bytes_;
};

/// An array on its way into a file, as little-endian bytes.
struct ArrayBytes {
  Dtype dtype = Dtype::F32;
  std::vector<Index> shape;
  std::vector<std::byte> bytes;

  /// From `count` values in memory. Floats may be stored as F16 or BF16 (rounded to nearest), everything else as it is.
  template <class S>
  static ArrayBytes of(std::vector<Index> shape, const S* data, Index count, Dtype dtype = dtype_of<S>()) {
    require<OptionError>(
        dtype == dtype_of<S>() || (std::is_floating_point_v<S> && (dtype == Dtype::F16 || dtype == Dtype::BF16)),
        "write", [&] { return message(to_string(dtype_of<S>()), " is not stored as ", dtype); });
    ArrayBytes array{dtype, std::move(shape), std::vector<std::byte>(static_cast<std::size_t>(count) * size_of(dtype))};
    std::byte* to = array.bytes.data();
    for (Index i = 0; i < count; ++i, to += size_of(dtype)) {
      if (dtype == Dtype::F16)
        detail::store_bytes(half_from_float(static_cast<float>(data[i])), to);
      else if (dtype == Dtype::BF16)
        detail::store_bytes(bfloat_from_float(static_cast<float>(data[i])), to);
      else
        detail::store_bytes(data[i], to);
    }
    return array;
  }
  /// From a Tensor or a TensorMap of one.
  template <class T>
  static ArrayBytes of(const T& tensor) {
    static_assert(TensorTraits<T>::value, "attend: files are written from row-major Tensors or TensorMaps of them");
    return of(tensor, dtype_of<typename TensorTraits<T>::Scalar>());
  }
  template <class T>
  static ArrayBytes of(const T& tensor, Dtype dtype) {
    const auto shape = shape_of(tensor);
    return of(std::vector<Index>(shape.begin(), shape.end()), tensor.data(), tensor.size(), dtype);
  }
};

ATTEND_END
