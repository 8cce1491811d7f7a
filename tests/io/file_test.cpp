#include "attend/io/file.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "attend/io/checked.hpp"
#include "attend/io/idx.hpp"
#include "attend/io/npz.hpp"
#include "attend/io/png.hpp"
#include "attend/io/ppm.hpp"
#include "attend/io/safetensors_file.hpp"
#include "io/temporary_folder.hpp"

namespace file_test {
namespace {
using namespace attend;

/// Every writer of io/, asked to write something of a few kilobytes.
struct Writer {
  const char* name;
  void (*write)(const std::filesystem::path&);
};
Tensor<std::uint8_t, 3> noise() {
  Tensor<std::uint8_t, 3> x(40, 50, 3);
  unsigned state = 1;
  for (Index i = 0; i < x.size(); ++i)
    x.data()[i] = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  return x;
}
const Writer writers[] = {
    {"text",
     [](const std::filesystem::path& p) {
       write_file({"write", p}, std::string(5000, 'x'));
     }},
    {"safetensors", [](const std::filesystem::path& p) { SafetensorsWriter().add("x", noise()).write(p); }},
    {"npy", [](const std::filesystem::path& p) { write_npy(p, noise()); }},
    {"npz", [](const std::filesystem::path& p) { NpzWriter().add("x", noise()).write(p, true); }},
    {"idx", [](const std::filesystem::path& p) { write_idx(p, noise()); }},
    {"png", [](const std::filesystem::path& p) { write_png(p, noise()); }},
    {"ppm", [](const std::filesystem::path& p) { write_ppm(p, noise()); }},
};

/// No file of this process may grow beyond `bytes`: a write fails in the middle, as on a full disk.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(WriteFile, replaces_the_whole_file_and_leaves_nothing_else) {
  const TemporaryFolder folder;
  for (const Writer& w : writers) {
    const auto path = folder / w.name;
    w.write(path);
    const std::string first = get_bytes(path);
    EXPECT_GT(first.size(), 4000u) << w.name;
    put_bytes(path, "old and " + std::string(100000, 'l') + "ong");
    w.write(path);
    EXPECT_EQ(get_bytes(path), first) << w.name;
  }
  EXPECT_EQ(folder.count(), std::size(writers));
}

TEST(WriteFile, that_fails_in_the_middle_leaves_the_old_file_and_no_other) {
  const TemporaryFolder folder;
  for (const Writer& w : writers) {
    const auto path = folder / w.name;
    put_bytes(path, "precious");
    const std::string text = thrown<FileError>([&] {
      const SmallDisk disk(3000);
      w.write(path);
    });
    EXPECT_NE(text.find(path.string() + ": cannot be written"), std::string::npos) << text;
    EXPECT_EQ(get_bytes(path), "precious") << w.name;
  }
  EXPECT_EQ(folder.count(), std::size(writers));
}

TEST(WriteFile, says_when_the_disk_is_full) {
  for (const Writer& w : writers) {
    const std::string text = thrown<FileError>([&] { w.write("/dev/full"); });
    EXPECT_NE(text.find("/dev/full: cannot be written: No space left on device"), std::string::npos) << text;
  }
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));  // not replaced by a regular file
}

TEST(WriteFile, refuses_what_cannot_be_replaced) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "locked");
  std::filesystem::create_directory(folder / "directory");
  put_bytes(folder / "file", "x");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("nowhere", folder / "dangling");
  std::filesystem::create_symlink("loop", folder / "loop");
  const struct {
    std::filesystem::path path;
    const char* reason;
  } rows[] = {
      {folder / "directory", "is a directory"},
      {folder / "pipe", "is a pipe"},
      {folder / "dangling", "is a link that leads nowhere"},
      {folder / "loop", "is a link that leads nowhere"},
      {folder / "missing" / "x", "cannot be written: No such file or directory"},
      {folder / "file" / "x", "cannot be written: Not a directory"},
      {folder / std::string(300, 'n'), "File name too long"},
      {"", "cannot be written"},
  };
  for (const auto& row : rows)
    for (const Writer& w : writers) {
      const std::string text = thrown<FileError>([&] { w.write(row.path); });
      EXPECT_NE(text.find(row.reason), std::string::npos) << w.name << ": " << text;
    }
  std::filesystem::permissions(folder / "locked",
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  const bool root = ::geteuid() == 0;
  if (root) {  // who may write anywhere
    ASSERT_EQ(::seteuid(65534), 0);
  }
  for (const Writer& w : writers) {
    const std::string text = thrown<FileError>([&] { w.write(folder / "locked" / "x"); });
    EXPECT_NE(text.find("cannot be written: Permission denied"), std::string::npos) << w.name << ": " << text;
  }
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(get_bytes(folder / "file"), "x");
  EXPECT_EQ(folder.count(), 6u);
}

TEST(WriteFile, follows_links_and_keeps_the_mode) {
  const TemporaryFolder folder;
  put_bytes(folder / "file", "old");
  std::filesystem::permissions(folder / "file", std::filesystem::perms(0640));
  std::filesystem::create_symlink("file", folder / "link");
  write_file({"write", folder / "link"}, "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(get_bytes(folder / "file"), "new");
  EXPECT_EQ(std::filesystem::status(folder / "file").permissions(), std::filesystem::perms(0640));
}

TEST(WriteFile, abandoned_before_commit_is_as_if_it_had_never_been) {
  const TemporaryFolder folder;
  put_bytes(folder / "file", "old");
  {
    AtomicFile file({"write", folder / "file"});
    file.write("half");
    EXPECT_EQ(folder.count(), 2u);
  }
  EXPECT_EQ(folder.count(), 1u);
  EXPECT_EQ(get_bytes(folder / "file"), "old");
}

TEST(ReadFile, gives_all_bytes_and_respects_the_limit) {
  const TemporaryFolder folder;
  std::string bytes(100001, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31);
  put_bytes(folder / "file", bytes);
  EXPECT_EQ(read_file({"read", folder / "file"}).text(), bytes);
  EXPECT_EQ(read_file({"read", folder / "file"}, 100001).text(), bytes);
  EXPECT_EQ(InputFile({"read", folder / "file"}).map().text(), bytes);
  const std::string text = thrown<FileError>([&] { read_file({"read", folder / "file"}, 100000); });
  EXPECT_NE(text.find("has 100001 bytes; at most 100000 are read"), std::string::npos) << text;
  put_bytes(folder / "empty", "");
  EXPECT_EQ(read_file({"read", folder / "empty"}).size, 0u);
  EXPECT_EQ(InputFile({"read", folder / "empty"}).map().size, 0u);
}

TEST(ReadFile, notices_a_file_that_shrinks) {
  const TemporaryFolder folder;
  put_bytes(folder / "file", std::string(100, 'x'));
  InputFile file({"read", folder / "file"});
  std::filesystem::resize_file(folder / "file", 60);
  const std::string text = thrown<FileError>([&] { file.read(file.size()); });
  EXPECT_NE(text.find("ends 40 bytes early"), std::string::npos) << text;
}

TEST(Excerpt, is_short_and_safe_to_print) {
  EXPECT_EQ(excerpt("weight"), "\"weight\"");
  EXPECT_EQ(excerpt(std::string("a\n\0\x1b[31m\xff", 9)), "\"a\\x0a\\x00\\x1b[31m\\xff\"");
  EXPECT_EQ(excerpt(std::string(1000, 'a')), "\"" + std::string(64, 'a') + "...\"");
}

TEST(CheckedSize, has_no_value_once_it_has_wrapped) {
  constexpr std::uint64_t most = ~std::uint64_t(0);
  EXPECT_EQ((Checked(3) * 4 + 5).value(), 17u);
  EXPECT_EQ((Checked(most) + 0).value(), most);
  EXPECT_EQ((Checked(most) * 1).value(), most);
  EXPECT_EQ((Checked(most) * 0).value(), 0u);
  EXPECT_EQ((Checked(5) - 5).value(), 0u);
  EXPECT_FALSE((Checked(most) + 1).value());
  EXPECT_FALSE((Checked(5) - 6).value());
  EXPECT_FALSE((Checked(1ull << 32) * (1ull << 32)).value());
  EXPECT_FALSE((Checked(1ull << 32) * (1ull << 32) * 0).value());  // once wrapped, never valid again
  EXPECT_FALSE((Checked(most) + 1 - 1).value());
  EXPECT_TRUE(Checked(7).at_most(7));
  EXPECT_FALSE(Checked(8).at_most(7));
  EXPECT_FALSE((Checked(most) + 1) == 0);
}
}  // namespace
}  // namespace file_test
