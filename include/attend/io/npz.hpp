#pragma once
/// Named arrays of NumPy, .npz: a zip file of .npy files (PKWARE's APPNOTE.TXT 4.3), stored or deflated.
#include "attend/io/deflate.hpp"
#include "attend/io/numpy.hpp"

ATTEND_BEGIN

namespace detail {

inline std::uint32_t crc_of(const void* data, std::size_t size) {
  return static_cast<std::uint32_t>(crc32_z(crc32_z(0, nullptr, 0), static_cast<const Bytef*>(data), size));
}

struct ZipEntry {
  std::uint64_t begin = 0, packed = 0, size = 0;  // of the (compressed) bytes within the file; of what comes out
  std::uint32_t crc = 0;
  bool deflated = false;
};

/// The directory of a zip file, every entry checked to lie in the file and to overlap no other.
inline std::map<std::string, ZipEntry> parse_zip_directory(const FileSource& source, std::string_view text,
                                                           std::size_t most_entries) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  const auto u16 = [&](std::uint64_t at) { return std::uint64_t(load_bytes<std::uint16_t>(data + at)); };
  const auto u32 = [&](std::uint64_t at) { return std::uint64_t(load_bytes<std::uint32_t>(data + at)); };
  const auto has = [&](std::uint64_t at, Checked count) {
    return (Checked(at) + count).at_most(text.size()).has_value();
  };
  source.require(text.size() >= 22 && text.substr(0, 2) == "PK", [&] {
    return message("begins with ", excerpt(text.substr(0, 4)), "; a .npz file begins with \"PK\"");
  });
  std::uint64_t end = text.size() - 22;  // a comment may follow the end record
  const std::uint64_t first = text.size() > 22 + 0xffff ? text.size() - 22 - 0xffff : 0;
  while (u32(end) != 0x06054b50 || u16(end + 20) != text.size() - end - 22) {
    source.require(end > first, [] { return "has no end of a zip directory; it is cut off or no .npz"; });
    --end;
  }
  const std::uint64_t count = u16(end + 10), directory_size = u32(end + 12), directory = u32(end + 16);
  source.require(u16(end + 4) == 0 && u16(end + 6) == 0 && u16(end + 8) == count,
                 [] { return "is one part of several; whole files are read"; });
  source.require(count != 0xffff && directory != 0xffffffff,
                 [] { return "is a zip64 file (4 GiB or 65535 arrays and more), which is not read"; });
  source.require(directory + directory_size == end,
                 [] { return "has a directory that does not end at its end record"; });
  source.require(count <= most_entries,
                 [&] { return message("has ", count, " arrays; at most ", most_entries, " are read"); });

  std::map<std::string, ZipEntry> entries;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> parts;  // begin and end of each, its own header included
  std::uint64_t at = directory;
  for (std::uint64_t i = 0; i < count; ++i) {
    source.require(has(at, 46) && at + 46 <= end && u32(at) == 0x02014b50,
                   [&] { return message("entry ", i, " of its directory is broken"); });
    const std::uint64_t flags = u16(at + 8), method = u16(at + 10), name_size = u16(at + 28), local = u32(at + 42);
    const std::uint64_t following = name_size + u16(at + 30) + u16(at + 32);
    source.require(at + 46 + following <= end, [&] { return message("entry ", i, " of its directory is cut off"); });
    const std::string name(text.substr(at + 46, name_size));
    const auto complain = [&](const std::string& reason) { source.fail("entry " + excerpt(name) + " " + reason); };
    ZipEntry entry;
    entry.crc = static_cast<std::uint32_t>(u32(at + 16));
    entry.packed = u32(at + 20), entry.size = u32(at + 24);
    entry.deflated = method == 8;
    if (flags & 0x41) complain("is encrypted");
    if (method != 0 && method != 8)
      complain("is compressed by method " + to_string(method) + "; stored and deflated are read");
    if (entry.packed == 0xffffffff || entry.size == 0xffffffff || local == 0xffffffff)
      complain("is a zip64 entry, which is not read");
    if (method == 0 && entry.packed != entry.size) complain("is stored, but its two sizes differ");
    if (entry.size > (Checked(entry.packed) * most_deflation + 1024).value().value_or(0))
      complain("announces " + to_string(entry.size) + " bytes, more than " + to_string(entry.packed) +
               " compressed ones can hold");
    if (!has(local, 30) || local + 30 > directory || u32(local) != 0x04034b50)
      complain("has no local header where its directory says");
    entry.begin = local + 30 + u16(local + 26) + u16(local + 28);
    if (!(Checked(entry.begin) + entry.packed).at_most(directory)) complain("reaches into the directory");
    if (text.substr(local + 30, u16(local + 26)) != name) complain("has another name in its local header");
    if (u16(local + 8) != method) complain("has another method in its local header");
    if (!entries.emplace(name, entry).second) complain("is given twice");
    parts.emplace_back(local, entry.begin + entry.packed);
    at += 46 + following;
  }
  source.require(at == end, [] { return "has a directory longer than its entries"; });
  std::sort(parts.begin(), parts.end());
  for (std::size_t i = 1; i < parts.size(); ++i)
    source.require(parts[i - 1].second <= parts[i].first, [] { return "has entries that overlap"; });
  return entries;
}

}  // namespace detail

struct NpzOptions {
  std::uint64_t limit = std::uint64_t(1) << 32;  ///< bytes of the file, and of each array in it
  std::size_t arrays = 65534;
};

/// A .npz file in memory. Arrays are decompressed when asked for.
class NpzFile {
 public:
  /// FileError if the file is no zip file that holds .npy files only.
  explicit NpzFile(const std::filesystem::path& path, const NpzOptions& options = {})
      : source_{"read_npz", path}, options_(options), bytes_(read_file(source_, options.limit)) {
    for (const auto& [name, entry] : detail::parse_zip_directory(source_, bytes_.text(), options.arrays)) {
      source_.require(name.size() > 4 && name.compare(name.size() - 4, 4, ".npy") == 0,
                      [&, &n = name] { return message("holds ", excerpt(n), ", which is no .npy"); });
      source_.require(entry.size <= options.limit, [&, &n = name, &e = entry] {
        return message("holds ", excerpt(n), " of ", e.size, " bytes; at most ", options_.limit, " are read");
      });
      entries_.emplace(name.substr(0, name.size() - 4), entry);
    }
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& named : entries_) names.push_back(named.first);
    return names;
  }
  bool contains(const std::string& name) const { return entries_.count(name) > 0; }

  /// `read(array)` with the array of that name, which lives as long as the call. FileError if there is none, its
  /// checksum is wrong, or it is no valid .npy.
  template <class Read>
  auto with(const std::string& name, Read&& read) const {
    const auto found = entries_.find(name);
    source_.require(found != entries_.end(),
                    [&] { return message("has no array ", excerpt(name), " among its ", entries_.size()); });
    const detail::ZipEntry& entry = found->second;
    const FileSource member{source_.operation, source_.path.string() + ": " + excerpt(name)};
    const std::byte* data = bytes_.begin() + entry.begin;
    const auto size = static_cast<std::size_t>(entry.size);
    std::unique_ptr<std::byte[]> memory;
    if (entry.deflated) {
      memory.reset(new std::byte[size]);
      detail::Inflate inflate(member, data, static_cast<std::size_t>(entry.packed), Compression::raw);
      inflate.read(memory.get(), size);
      inflate.finish();
      data = memory.get();
    }
    member.require(detail::crc_of(data, size) == entry.crc, [] { return "its checksum is wrong"; });
    return read(detail::parse_npy(member, {reinterpret_cast<const char*>(data), size}, name));
  }
  Dtype dtype(const std::string& name) const {
    return with(name, [](const StoredArray& a) { return a.dtype(); });
  }
  std::vector<Index> shape(const std::string& name) const {
    return with(name, [](const StoredArray& a) { return a.shape(); });
  }
  /// Converted as StoredArray says.
  template <class S, int R>
  Tensor<S, R> tensor(const std::string& name) const {
    return with(name, [](const StoredArray& a) { return a.tensor<S, R>(); });
  }
  template <class S>
  Tensor<S, 1> flat(const std::string& name) const {
    return with(name, [](const StoredArray& a) { return a.flat<S>(); });
  }

 private:
  FileSource source_;
  NpzOptions options_;
  FileBytes bytes_;
  std::map<std::string, detail::ZipEntry> entries_;
};

/// Collects named arrays, then writes them at once, as numpy.savez or (compressed) savez_compressed does.
class NpzWriter {
 public:
  /// A Tensor or TensorMap. OptionError if the name is empty or taken.
  template <class T>
  NpzWriter& add(const std::string& name, const T& tensor) {
    require<OptionError>(!name.empty() && name.size() < 60000 && entries_.count(name) == 0, "write_npz",
                         [&] { return message("name ", excerpt(name), " is empty, too long, or given twice"); });
    entries_.emplace(name, detail::npy_bytes(ArrayBytes::of(tensor)));
    return *this;
  }
  /// Replaces the file entirely or, on FileError, not at all.
  void write(const std::filesystem::path& path, bool compress = false) const {
    const FileSource source{"write_npz", path};
    source.require(entries_.size() < 0xffff, [] { return "65535 arrays and more do not fit a zip file"; });
    AtomicFile file(source);
    std::string directory;
    std::uint64_t at = 0;
    for (const auto& [name, bytes] : entries_) {
      std::vector<std::byte> packed;
      if (compress)
        packed = compressed(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), Compression::raw);
      const std::uint64_t size = compress ? packed.size() : bytes.size();
      source.require(bytes.size() < 0xffffffff && at + size + 70000 < 0xffffffff,
                     [] { return "4 GiB and more do not fit a zip file"; });
      std::string common;  // of the local header and the directory's entry, from the version needed
      put(common, 20, 2), put(common, 0x0800, 2), put(common, compress ? 8 : 0, 2);
      put(common, 0, 2), put(common, 0x21, 2);  // 1980-01-01: the same arrays give the same file
      put(common, detail::crc_of(bytes.data(), bytes.size()), 4), put(common, size, 4), put(common, bytes.size(), 4);
      put(common, name.size() + 4, 2), put(common, 0, 2);
      std::string local = "PK\3\4" + common + name + ".npy";
      directory += "PK\1\2" + std::string("\x14\0", 2) + common;
      put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 4), put(directory, at, 4);
      directory += name + ".npy";
      file.write(local);
      if (compress)
        file.write(packed.data(), packed.size());
      else
        file.write(bytes);
      at += local.size() + size;
    }
    source.require(at + directory.size() < 0xffffffff, [] { return "4 GiB and more do not fit a zip file"; });
    std::string end = "PK\5\6";
    put(end, 0, 4), put(end, entries_.size(), 2), put(end, entries_.size(), 2), put(end, directory.size(), 4),
        put(end, at, 4), put(end, 0, 2);
    file.write(directory + end);
    file.commit();
  }

 private:
  static void put(std::string& text, std::uint64_t number, int bytes) {
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(number >> (8 * i) & 255);
  }
  std::map<std::string, std::string> entries_;
};

ATTEND_END
