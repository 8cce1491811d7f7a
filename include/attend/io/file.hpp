#pragma once
/// Whole files in and out (POSIX): reading refuses what is no regular file, writing never leaves half a file behind.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "attend/core/error.hpp"

ATTEND_BEGIN

/// What a file contains, safe to print: at most 64 characters, those outside ASCII as \xNN.
inline std::string excerpt(std::string_view text) {
  constexpr std::size_t most = 64;
  constexpr char digits[] = "0123456789abcdef";
  std::string safe = "\"";
  for (const char c : text.substr(0, most)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      safe += c;
    else
      (safe += "\\x") += {digits[byte >> 4], digits[byte & 15]};
  }
  return safe + (text.size() > most ? "...\"" : "\"");
}

/// Who reads or writes which file; every complaint about the file is made here.
struct FileSource {
  const char* operation;
  std::filesystem::path path;

  [[noreturn]] void fail(const std::string& reason) const { throw FileError(operation, path.string() + ": " + reason); }
  [[noreturn]] void fail_with_errno(const char* what) const {
    fail(std::string(what) + ": " + std::generic_category().message(errno));
  }
  /// Throws unless `ok`. The text is a callable: nothing is built when the check passes.
  template <class Text>
  void require(bool ok, Text&& text) const {
    if (!ok) fail(text());
  }
};

/// The bytes of a file, in own memory or mapped.
struct FileBytes {
  std::shared_ptr<const std::byte[]> data;
  std::size_t size = 0;
  const std::byte* begin() const { return data.get(); }
  std::string_view text() const { return {reinterpret_cast<const char*>(data.get()), size}; }
};

namespace detail {
inline const char* file_kind(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}
template <class Call>
auto retry_interrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

class FileHandle {
 public:
  explicit FileHandle(int descriptor) : descriptor_(descriptor) {}
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  ~FileHandle() { close(); }
  int get() const { return descriptor_; }
  bool close() { return descriptor_ < 0 || ::close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};
}  // namespace detail

/// A regular file open for reading. Throws FileError for anything else: a directory, a pipe or a device has no size.
class InputFile {
 public:
  explicit InputFile(FileSource source)
      : source_(std::move(source)), handle_(detail::retry_interrupted([&] {  // O_NONBLOCK: opening a pipe must not wait
          return ::open(source_.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        })) {
    if (handle_.get() < 0) source_.fail_with_errno("cannot be opened");
    struct stat status {};
    if (::fstat(handle_.get(), &status) != 0) source_.fail_with_errno("cannot be examined");
    source_.require(S_ISREG(status.st_mode),
                    [&] { return message("is ", detail::file_kind(status.st_mode), ", not a regular file"); });
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  const FileSource& source() const { return source_; }
  std::uint64_t size() const { return size_; }

  /// Exactly the next `count` bytes.
  void read(void* to, std::size_t count) {
    auto* at = static_cast<std::byte*>(to);
    while (count > 0) {
      const std::size_t part = std::min(count, std::size_t(1) << 30);
      const ssize_t got = detail::retry_interrupted([&] { return ::read(handle_.get(), at, part); });
      if (got < 0) source_.fail_with_errno("cannot be read");
      source_.require(got > 0, [&] { return message("ends ", count, " bytes early"); });
      at += got, count -= static_cast<std::size_t>(got);
    }
  }
  FileBytes read(std::uint64_t count) {
    const auto size = static_cast<std::size_t>(count);
    std::shared_ptr<std::byte[]> bytes(new std::byte[size]);
    read(bytes.get(), size);
    return {bytes, size};
  }
  /// All of it, mapped into memory: pages are read when touched. If the file shrinks meanwhile, touching the lost part
  /// kills the process (SIGBUS): map only files that nobody truncates.
  FileBytes map() const {
    const auto size = static_cast<std::size_t>(size_);
    if (size == 0) return {};
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, handle_.get(), 0);
    if (memory == MAP_FAILED) source_.fail_with_errno("cannot be mapped into memory");
    return {{static_cast<const std::byte*>(memory),
             [size](const std::byte* p) { ::munmap(const_cast<std::byte*>(p), size); }},
            size};
  }

 private:
  FileSource source_;
  detail::FileHandle handle_;
  std::uint64_t size_ = 0;
};

/// The whole file, of at most `limit` bytes.
inline FileBytes read_file(const FileSource& source, std::uint64_t limit = std::uint64_t(1) << 32) {
  InputFile file(source);
  source.require(file.size() <= limit,
                 [&] { return message("has ", file.size(), " bytes; at most ", limit, " are read"); });
  return file.read(file.size());
}

/// Writes beside the file, and takes its place in `commit`, when everything is safely on the disk: whatever goes wrong
/// before leaves the old file as it was and nothing new. A link is followed; a device (/dev/stdout) is written
/// directly.
class AtomicFile {
 public:
  explicit AtomicFile(FileSource source) : source_(std::move(source)), target_(source_.path), handle_(open()) {
    if (handle_.get() < 0) source_.fail_with_errno("cannot be written");
  }
  ~AtomicFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  void write(const void* from, std::size_t count) {
    const auto* at = static_cast<const std::byte*>(from);
    while (count > 0) {
      const std::size_t part = std::min(count, std::size_t(1) << 30);
      const ssize_t put = detail::retry_interrupted([&] { return ::write(handle_.get(), at, part); });
      if (put < 0) source_.fail_with_errno("cannot be written");
      at += put, count -= static_cast<std::size_t>(put);
    }
  }
  void write(std::string_view text) { write(text.data(), text.size()); }

  void commit() {
    if (temporary_.empty()) {
      if (!handle_.close()) source_.fail_with_errno("cannot be written");
      return;
    }
    if (::fsync(handle_.get()) != 0 || !handle_.close() || ::rename(temporary_.c_str(), target_.c_str()) != 0)
      source_.fail_with_errno("cannot be written");
    temporary_.clear();
    const auto folder = folder_of_target();
    const detail::FileHandle entry(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (entry.get() >= 0)
      ::fsync(entry.get());  // the new name survives a power failure; some systems cannot promise it
  }

 private:
  std::filesystem::path folder_of_target() const { return target_.has_parent_path() ? target_.parent_path() : "."; }

  int open() {
    std::error_code none;
    if (std::filesystem::is_symlink(target_, none)) {
      target_ = std::filesystem::canonical(target_, none);
      source_.require(!none, [&] { return message("is a link that leads nowhere: ", none.message()); });
    }
    struct stat old {};
    const bool exists = ::stat(target_.c_str(), &old) == 0;
    if (exists && S_ISCHR(old.st_mode)) return ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    source_.require(!exists || S_ISREG(old.st_mode),
                    [&] { return message("is ", detail::file_kind(old.st_mode), ", not a regular file"); });
    static std::atomic<unsigned> serial{0};
    for (;;) {
      temporary_ = folder_of_target() / (".attend-" + to_string(::getpid()) + "-" + to_string(serial++) + ".tmp");
      const int descriptor = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor < 0 && errno == EEXIST) continue;
      if (descriptor < 0)
        temporary_.clear();
      else if (exists && ::fchmod(descriptor, old.st_mode & 07777) != 0) {
        const int reason = errno;
        ::close(descriptor), ::unlink(temporary_.c_str());
        errno = reason;
        return -1;
      }
      return descriptor;
    }
  }

  FileSource source_;
  std::filesystem::path target_, temporary_;
  detail::FileHandle handle_;
};

/// Replaces the file by `text`, entirely or not at all.
inline void write_file(const FileSource& source, std::string_view text) {
  AtomicFile file(source);
  file.write(text);
  file.commit();
}

ATTEND_END
