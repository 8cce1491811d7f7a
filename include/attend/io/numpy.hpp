#pragma once
/// One array of NumPy, .npy (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): versions 1, 2 and
/// 3, little-endian, C order.
#include "attend/io/stored_array.hpp"

ATTEND_BEGIN

namespace detail {

/// Dtype of NumPy's letter code ('f4'), nothing if this library does not read it.
inline std::optional<Dtype> dtype_of_numpy(std::string_view code) {
  constexpr std::pair<std::string_view, Dtype> codes[] = {{"f8", Dtype::F64}, {"f4", Dtype::F32}, {"f2", Dtype::F16},
                                                          {"i8", Dtype::I64}, {"i4", Dtype::I32}, {"i2", Dtype::I16},
                                                          {"i1", Dtype::I8},  {"u8", Dtype::U64}, {"u4", Dtype::U32},
                                                          {"u2", Dtype::U16}, {"u1", Dtype::U8},  {"b1", Dtype::BOOL}};
  for (const auto& [name, dtype] : codes)
    if (name == code) return dtype;
  return std::nullopt;
}
inline std::string numpy_code(Dtype dtype) {
  const char* codes[] = {"<f8", "<f4", "<f2", "", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1"};
  return codes[static_cast<int>(dtype)];
}

/// The header of a .npy file: a literal of Python, {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class NpyHeaderReader {
 public:
  NpyHeaderReader(const FileSource& source, std::string_view text) : source_(source), text_(text) { read(); }
  Dtype dtype = Dtype::F32;
  std::vector<Index> shape;

 private:
  static constexpr std::size_t most_axes = 32;  // NumPy's own limit of old

  void read() {
    expect('{');
    unsigned seen = 0;
    while (!take('}')) {
      const std::string_view key = string();
      expect(':');
      const unsigned field = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      source_.require(field != 0 && !(seen & field),
                      [&] { return message("key ", excerpt(key), " of the header is unknown or given twice"); });
      seen |= field;
      if (field == 1) read_descr();
      if (field == 2) read_order();
      if (field == 4) read_shape();
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    source_.require(at_ == text_.size(),
                    [&] { return message("the header goes on behind its '}' with ", excerpt(text_.substr(at_))); });
    source_.require(seen == 7, [] { return "the header lacks one of descr, fortran_order and shape"; });
  }
  void read_descr() {
    skip_space();
    source_.require(at_ < text_.size() && text_[at_] != '[',
                    [] { return "has elements with fields; plain numbers are read"; });
    const std::string_view descr = string();
    source_.require(descr.size() != 3 || descr[0] != '>' || descr[2] == '1',
                    [&] { return message("has big-endian elements (", excerpt(descr), "); little-endian are read"); });
    source_.require(descr != "|O" && descr != "O", [] {
      return "has Python objects as elements; they could run code when read, so they are refused";
    });
    const auto known = descr.size() == 3 && (descr[0] == '<' || descr[0] == '|' || descr[0] == '>')
                           ? dtype_of_numpy(descr.substr(1))
                           : std::nullopt;
    source_.require(known && (descr[0] != '|' || size_of(*known) == 1), [&] {
      return message("has elements of type ", excerpt(descr), "; f2, f4, f8, i1 to i8, u1 to u8 and b1 are read");
    });
    dtype = *known;
  }
  void read_order() {
    if (word("False")) return;
    source_.require(word("True"), [&] {
      return message("fortran_order must be True or False, not ", excerpt(text_.substr(at_, 8)));
    });
    source_.fail("is in Fortran order; only C order is read (np.ascontiguousarray converts)");
  }
  void read_shape() {
    expect('(');
    while (!take(')')) {
      source_.require(shape.size() < most_axes, [] { return message("shape has more than ", most_axes, " axes"); });
      skip_space();
      const std::size_t first = at_;
      std::uint64_t extent = 0;
      constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9' && extent <= most / 10; ++at_)
        extent = extent * 10 + static_cast<std::uint64_t>(text_[at_] - '0');
      const bool leading_zero = at_ - first > 1 && text_[first] == '0';
      const bool more_digits = at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9';
      source_.require(at_ > first && !leading_zero && !more_digits && extent <= most, [&] {
        return message("shape has ", excerpt(text_.substr(first, 24)), " where a number from 0 must be");
      });
      shape.push_back(static_cast<Index>(extent));
      if (!take(',')) {
        source_.require(shape.size() > 1, [] { return "shape of one axis must be written (n,)"; });
        expect(')');
        break;
      }
    }
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view w) {
    skip_space();
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  void expect(char c) {
    source_.require(take(c), [&] {
      return message("the header has ", excerpt(text_.substr(at_, 16)), " where '", c, "' must be");
    });
  }
  std::string_view string() {
    const char quote = take('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t first = at_;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\\') ++at_;
    source_.require(at_ < text_.size() && text_[at_] == quote,
                    [] { return "the header has a string that does not end"; });
    return text_.substr(first, at_++ - first);
  }
  const FileSource& source_;
  std::string_view text_;
  std::size_t at_ = 0;
};

/// The array in the bytes of a .npy file, validated; it refers to them and to `source`.
inline StoredArray parse_npy(const FileSource& source, std::string_view bytes, const std::string& name = "") {
  source.require(bytes.size() >= 10 && bytes.substr(0, 6) == "\x93NUMPY", [&] {
    return message("begins with ", excerpt(bytes.substr(0, 8)), "; a .npy file begins with \"\\x93NUMPY\"");
  });
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  const int major = static_cast<unsigned char>(bytes[6]), minor = static_cast<unsigned char>(bytes[7]);
  source.require(major >= 1 && major <= 3 && minor == 0,
                 [&] { return message("has version ", major, ".", minor, "; 1.0, 2.0 and 3.0 are read"); });
  const std::size_t start = major == 1 ? 10 : 12;
  source.require(bytes.size() >= start, [] { return "ends within its header"; });
  const std::uint64_t length = major == 1 ? load_bytes<std::uint16_t>(data + 8) : load_bytes<std::uint32_t>(data + 8);
  source.require(length <= bytes.size() - start && length <= 1u << 20, [&] {
    return message("announces a header of ", length, " bytes; the file has ", bytes.size(),
                   ", and at most 2^20 are read");
  });
  NpyHeaderReader header(source, bytes.substr(start, length));
  const std::uint64_t there = bytes.size() - start - length;
  Checked wanted = size_of(header.dtype);
  for (const Index extent : header.shape) wanted = wanted * static_cast<std::uint64_t>(extent);
  source.require(wanted == there, [&] {
    return message("announces shape ", header.shape, " of ", header.dtype, "; ", there, " bytes follow");
  });
  return {source, name, header.dtype, std::move(header.shape), data + start + length};
}

/// A .npy file of version 1 (2 if its header is long) in memory.
inline std::string npy_bytes(const ArrayBytes& array) {
  require<OptionError>(array.dtype != Dtype::BF16, "write_npy", [] { return "NumPy has no type for BF16"; });
  std::string header = "{'descr': '" + numpy_code(array.dtype) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < array.shape.size(); ++i)
    header += to_string(array.shape[i]) + (array.shape.size() == 1 ? "," : i + 1 < array.shape.size() ? ", " : "");
  header += "), }";
  const bool long_header = header.size() + 64 > 0xffff;
  const std::size_t start = long_header ? 12 : 10;
  while ((start + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string bytes = std::string("\x93NUMPY") + (long_header ? '\2' : '\1') + '\0';
  for (std::size_t i = 0; i < start - 8; ++i) bytes += static_cast<char>((header.size() >> (8 * i)) & 255);
  bytes += header;
  return bytes.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
}

}  // namespace detail

/// A .npy file in memory: type and shape known at run time.
class NpyFile {
 public:
  /// FileError if it is not valid, in Fortran order, big-endian, or holds other than plain numbers.
  explicit NpyFile(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t(1) << 36)
      : source_(std::make_unique<FileSource>(FileSource{"read_npy", path})),
        bytes_(read_file(*source_, limit)),
        array_(detail::parse_npy(*source_, bytes_.text())) {}
  const StoredArray& array() const { return array_; }

 private:
  std::unique_ptr<FileSource> source_;
  FileBytes bytes_;
  StoredArray array_;
};

/// The array, converted as StoredArray says.
template <class S, int R>
Tensor<S, R> read_npy(const std::filesystem::path& path) {
  return NpyFile(path).array().tensor<S, R>();
}
/// Replaces the file entirely or, on FileError, not at all.
template <class T>
void write_npy(const std::filesystem::path& path, const T& tensor) {
  write_file({"write_npy", path}, detail::npy_bytes(ArrayBytes::of(tensor)));
}

ATTEND_END
