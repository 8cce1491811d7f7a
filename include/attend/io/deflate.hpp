#pragma once
/// Compressed bytes (zlib): gzip files and the entries of zip files.
#include <zlib.h>

#include <vector>

#include "attend/io/file.hpp"

ATTEND_BEGIN

enum class Compression { gzip, raw };

namespace detail {
constexpr int window_bits(Compression kind) { return kind == Compression::gzip ? 15 + 16 : -15; }
/// Deflate cannot shrink by more than this factor (zlib's technical notes: 1032), so a larger claim is a lie.
inline constexpr std::uint64_t most_deflation = 1040;

/// Decompresses bytes in memory, piece by piece; a wrong checksum of gzip is an error.
class Inflate {
 public:
  Inflate(const FileSource& source, const std::byte* from, std::size_t size, Compression kind)
      : source_(source), from_(from), left_(size) {
    if (inflateInit2(&stream_, window_bits(kind)) != Z_OK) throw std::bad_alloc();
  }
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;
  ~Inflate() { inflateEnd(&stream_); }

  /// As many of the next `count` bytes as there are.
  std::size_t read_some(void* to, std::size_t count) {
    auto* at = static_cast<Bytef*>(to);
    std::size_t wanted = count;
    while (wanted > 0 && !done_) {
      if (stream_.avail_in == 0) {
        const auto part = static_cast<uInt>(std::min(left_, std::size_t(1) << 30));
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from_));
        stream_.avail_in = part, from_ += part, left_ -= part;
      }
      const auto room = static_cast<uInt>(std::min(wanted, std::size_t(1) << 30));
      stream_.next_out = at, stream_.avail_out = room;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      source_.require(result == Z_OK || result == Z_STREAM_END, [&] {
        if (result == Z_BUF_ERROR) return std::string("its compressed data ends too early");
        return message("its compressed data is corrupt", stream_.msg ? ": " + std::string(stream_.msg) : std::string());
      });
      done_ = result == Z_STREAM_END;
      at += room - stream_.avail_out, wanted -= room - stream_.avail_out;
    }
    return count - wanted;
  }
  void read(void* to, std::size_t count) {
    const std::size_t got = read_some(to, count);
    source_.require(got == count, [&] { return message("ends ", count - got, " bytes early"); });
  }
  /// Throws unless all output has been read and all input used.
  void finish() {
    char more;
    source_.require(read_some(&more, 1) == 0 && stream_.avail_in == 0 && left_ == 0,
                    [] { return "has bytes behind its end"; });
  }

 private:
  const FileSource& source_;
  const std::byte* from_;
  std::size_t left_;
  z_stream stream_{};
  bool done_ = false;
};
}  // namespace detail

inline std::vector<std::byte> compressed(const std::byte* data, std::size_t size, Compression kind) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, detail::window_bits(kind), 8, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    throw std::bad_alloc();
  struct End {
    z_stream& stream;
    ~End() { deflateEnd(&stream); }
  } end{stream};
  std::vector<std::byte> result;
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      const auto part = static_cast<uInt>(std::min(size, std::size_t(1) << 30));
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(data));
      stream.avail_in = part, data += part, size -= part;
    }
    const std::size_t before = result.size(), room = std::size_t(1) << 16;
    result.resize(before + room);
    stream.next_out = reinterpret_cast<Bytef*>(result.data() + before), stream.avail_out = static_cast<uInt>(room);
    state = deflate(&stream, size == 0 ? Z_FINISH : Z_NO_FLUSH);
    result.resize(before + room - stream.avail_out);
  }
  return result;
}

ATTEND_END
