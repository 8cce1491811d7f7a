// What a reader refuses, one row each: the text names the file and the reason.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "io/readers.hpp"

namespace broken_file_test {
namespace {
using namespace attend;

struct Row {
  double (*read)(const std::filesystem::path&);
  std::string bytes;
  const char* reason;
};
void check(const std::vector<Row>& rows) {
  const TemporaryFolder folder;
  const auto path = folder / "broken file";
  for (const Row& row : rows) {
    put_bytes(path, row.bytes);
    const std::string text = thrown<FileError>([&] { row.read(path); });
    EXPECT_NE(text.find(path.string() + ": "), std::string::npos) << text << "\nwanted: " << row.reason;
    EXPECT_NE(text.find(row.reason), std::string::npos) << text << "\nwanted: " << row.reason;
    EXPECT_LT(text.size(), 600u) << "more than an excerpt of the file is repeated";
  }
}
std::string entry(const std::string& fields) { return "{\"x\":{" + fields + "}}"; }
Row header(const std::string& json, const char* reason, std::size_t data = 4) {
  return {readers::safetensors, safetensors_bytes(json, data), reason};
}
std::string repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST(BadFile, safetensors_whose_frame_is_wrong) {
  check({
      {readers::safetensors, "", "has 0 bytes"},
      {readers::safetensors, "1234567", "has 7 bytes"},
      {readers::safetensors, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"},
      {readers::safetensors, little(0, 8), "does not begin with '{'"},
      {readers::safetensors, little(3, 8) + "{}", "header of 3 bytes; the file has 10"},
      {readers::safetensors, little(~0ull, 8) + "{}", "header of 18446744073709551615 bytes"},
      {readers::safetensors, little(~0ull - 7, 8) + "{}", "header of 18446744073709551608 bytes"},
      {readers::safetensors, little(1ull << 63, 8) + "{}", "header of 9223372036854775808 bytes"},
      header("{}", "has 4 bytes behind the last tensor"),
      header("", "does not begin with '{'"),
      header("\xef\xbb\xbf{}", "does not begin with '{' but with \"\\xef\\xbb\\xbf{}", 0),
      header(" {}", "does not begin with '{'", 0),
      header("[]", "does not begin with '{'", 0),
      header("{} x", "not valid JSON at byte", 0),
      header("{}{}", "not valid JSON at byte", 0),
      header(std::string("{}\0{", 4), "the header has a NUL byte", 0),
      header("{\"x\":", "not valid JSON at byte"),
      header("{\"x\" 1}", "not valid JSON at byte"),
      header("{'x':1}", "not valid JSON at byte"),
      header("{\"a\xff\":{}}", "not valid JSON at byte"),               // not UTF-8
      header("{\"a\\ud800\":{}}", "not valid JSON at byte"),            // half of a surrogate pair
      header("{\"" + std::string(300, 'a'), "not valid JSON at byte"),  // the text stays short
  });
}

TEST(BadFile, safetensors_whose_header_has_wrong_fields) {
  const std::string good = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  check({
      header("{\"x\":1}", "it must be an object"),
      header("{\"x\":[]}", "it must be an object"),
      header("{\"x\":null}", "it must be an object"),
      header("{\"x\":{}}", "lacks one of dtype, shape and data_offsets"),
      header(entry(R"("dtype":"F32","shape":[1])"), "lacks one of"),
      header(entry(good + ",\"extra\":1"), "unknown field \"extra\""),
      header(entry(good + ",\"dtype\":\"F32\""), "name \"dtype\" is given twice"),
      header("{\"x\":{" + good + "},\"x\":{" + good + "}}", "name \"x\" is given twice"),
      header("{\"a\":{" + good + "},\"\\u0061\":{" + good + "}}", "name \"a\" is given twice"),
      header(entry(R"("dtype":"F8_E5M2","shape":[1],"data_offsets":[0,4])"), "unknown type \"F8_E5M2\""),
      header(entry(R"("dtype":32,"shape":[1],"data_offsets":[0,4])"), "it must be a string"),
      header(entry(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])"), "unknown type"),
      header(entry(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), "it must be a list"),
      header(entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"),
             "a negative number; it must be a whole number"),
      header(entry(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), "the number \"1.0\""),
      header(entry(R"("dtype":"F32","shape":[1e0],"data_offsets":[0,4])"), "the number \"1e0\""),
      header(entry(R"("dtype":"F32","shape":[01],"data_offsets":[0,4])"), "not valid JSON"),
      header(entry(R"("dtype":"F32","shape":["1"],"data_offsets":[0,4])"), "a string; it must be a whole number"),
      header(entry(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), "a list; it must be a whole number"),
      header(entry(R"("dtype":"F32","shape":[true],"data_offsets":[0,4])"), "true or false"),
      header(entry(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4])"),
             "the number \"18446744073709551616\""),
      header(entry(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"),
             "extent of 18446744073709551615"),
      header(entry(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), "more than 8 elements"),
      header(entry("\"dtype\":\"F32\",\"shape\":[" + repeated("1,", 1000000) + "1],\"data_offsets\":[0,4]"),
             "more than 8 elements"),
      header("{\"x\":" + repeated("[", 100000), "it must be an object"),
      header(repeated("{\"x\":", 100000), "unknown field \"x\""),
      header(entry("\"dtype\":" + repeated("{\"a\":", 100000)), "an object; it must be a string"),
      header("{\"" + std::string(70000, 'n') + "\":{" + good + "}}", "a name of 70000 bytes"),
      header("{\"" + std::string(10000000, 'n') + "\":{" + good + "}}", "a name of 10000000 bytes"),
      header("{\"a\\u0000b\":{" + good + "}}", "control character"),
      header("{\"a\\nb\":{" + good + "}}", "control character"),
      header("{\"__metadata__\":{\"k\":1}}", "it must be a string", 0),
      header("{\"__metadata__\":{\"k\":{}}}", "it must be a string", 0),
      header("{\"__metadata__\":[]}", "it must be an object", 0),
      header("{\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}}", "name \"k\" is given twice", 0),
      header("{\"__metadata__\":{},\"__metadata__\":{}}", "name \"__metadata__\" is given twice", 0),
  });
}

TEST(BadFile, safetensors_whose_offsets_do_not_cover_the_data_once) {
  const auto two = [](const char* a, const char* b) {
    return std::string("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":") + a +
           "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":" + b + "}}";
  };
  const auto one = [](const char* shape, const char* offsets, const char* dtype = "F32") {
    return entry(std::string("\"dtype\":\"") + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets);
  };
  check({
      header(one("[1]", "[4,0]"), "no two ascending numbers"),
      header(one("[1]", "[4]"), "no two ascending numbers"),
      header(one("[1]", "[0,4,4]"), "more than 2 elements"),
      header(one("[1]", "[0,-4]"), "a negative number"),
      header(one("[2]", "[0,4]"), "type F32 and shape (2), but 4 bytes"),
      header(one("[1]", "[0,4]", "F64"), "type F64 and shape (1), but 4 bytes"),
      header(one("[]", "[0,8]"), "shape (), but 8 bytes", 8),
      header(one("[0]", "[0,4]"), "shape (0), but 4 bytes"),
      header(one("[2]", "[0,8]"), "ends at byte 8 of the data, which has 4"),
      header(one("[1]", "[4,8]"), "begins at byte 4 of the data; there is a hole from byte 0", 8),
      header(one("[1]", "[0,4]"), "has 1 bytes behind the last tensor", 5),
      header(two("[0,4]", "[0,4]"), "it overlaps another", 4),
      header(two("[0,4]", "[2,6]"), "it overlaps another, which ends at 4", 6),
      header(two("[0,4]", "[5,9]"), "there is a hole from byte 4", 9),
      header(two("[0,4]", "[4,8]"), "ends at byte 8 of the data, which has 7", 7),
      header(one("[4611686018427387904]", "[0,0]"), "but 0 bytes", 0),  // times 4 wraps to 0
      header(one("[4611686018427387905]", "[0,4]"), "but 4 bytes"),     // wraps to 4
      header(one("[4294967296,4294967296]", "[0,0]"), "but 0 bytes", 0),
      header(one("[3037000500,3037000500,2]", "[0,4]"), "but 4 bytes"),  // about 2^64
      header(one("[1]", "[18446744073709551612,18446744073709551615]"), "but 3 bytes"),
      header(one("[1]", "[18446744073709551611,18446744073709551615]"), "ends at byte 18446744073709551615"),
      header(one("[9223372036854775807]", "[0,9223372036854775807]", "U8"), "ends at byte 9223372036854775807"),
  });
}

TEST(BadFile, safetensors_beyond_the_limits) {
  const TemporaryFolder folder;
  std::string many = "{";
  for (int i = 0; i < 1000; ++i)
    many += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  put_bytes(folder / "x", safetensors_bytes(many + "}", 0));
  EXPECT_EQ(SafetensorsFile(folder / "x").names().size(), 1000u);
  SafetensorsOptions options;
  options.limits.tensors = 999;
  EXPECT_NE(thrown<FileError>([&] { SafetensorsFile(folder / "x", options); }).find("more than 999 tensors"),
            std::string::npos);
  options.limits = {};
  options.limits.header = 1000;
  EXPECT_NE(thrown<FileError>([&] { SafetensorsFile(folder / "x", options); }).find("at most 1000 are read"),
            std::string::npos);
}

TEST(BadFile, safetensors_of_many_tensors_takes_linear_time) {
  const TemporaryFolder folder;
  std::string many = "{";
  for (int i = 0; i < 200000; ++i)
    many += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  put_bytes(folder / "x", safetensors_bytes(many + "}", 0));
  EXPECT_EQ(SafetensorsFile(folder / "x").names().size(), 200000u);  // quadratic time would meet the test's time-out
}

Row npy_row(const std::string& dictionary, const char* reason, const std::string& data = "1234") {
  return {readers::npy, "\x93NUMPY" + little(1, 2) + little(dictionary.size(), 2) + dictionary + data, reason};
}
TEST(BadFile, npy) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
  const auto shape = [](const std::string& s) {
    return "{'descr': '<f4', 'fortran_order': False, 'shape': " + s + ", }";
  };
  const auto descr = [](const std::string& d) {
    return "{'descr': " + d + ", 'fortran_order': False, 'shape': (1,), }";
  };
  check({
      {readers::npy, "", "begins with \"\""},
      {readers::npy, "\x93NUMPX" + little(1, 2) + little(4, 2), "begins with \"\\x93NUMPX"},
      {readers::npy, "\x93NUMPY" + little(4, 2) + little(4, 2) + good, "has version 4.0"},
      {readers::npy, "\x93NUMPY" + little(0x101, 2) + little(4, 2) + good, "has version 1.1"},
      {readers::npy, "\x93NUMPY" + little(1, 2) + little(60000, 2) + good, "header of 60000 bytes; the file has"},
      {readers::npy, "\x93NUMPY" + little(2, 2) + little(0xffffffff, 4) + good, "header of 4294967295 bytes"},
      {readers::npy, "\x93NUMPY" + little(2, 2) + little(1, 2), "ends within its header"},
      npy_row(good, "announces shape (1) of F32; 3 bytes follow", "123"),
      npy_row(good, "announces shape (1) of F32; 5 bytes follow", "12345"),
      npy_row("", "where '{' must be"),
      npy_row("{", "the header has \"\" where"),
      npy_row(good + "x", "goes on behind its '}'"),
      npy_row("{'descr': '<f4', 'fortran_order': False}", "lacks one of"),
      npy_row("{'descr': '<f4', 'descr': '<f4', }", "key \"descr\" of the header is unknown or given twice"),
      npy_row("{'other': 1}", "key \"other\""),
      npy_row("{'descr': '<f4", "a string that does not end"),
      npy_row("{'descr' '<f4'}", "where ':' must be"),
      npy_row("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "is in Fortran order; only C order is read"),
      npy_row("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "must be True or False"),
      npy_row(descr("'|O'"), "Python objects"),
      npy_row(descr("[('a', '<f4')]"), "elements with fields"),
      npy_row(descr("'>f4'"), "big-endian elements"),
      npy_row(descr("'<c8'"), "elements of type \"<c8\""),
      npy_row(descr("'<U1'"), "elements of type \"<U1\""),
      npy_row(descr("'|f4'"), "elements of type \"|f4\""),
      npy_row(descr("'<f3'"), "elements of type \"<f3\""),
      npy_row(descr("''"), "elements of type \"\""),
      npy_row(shape("(1)"), "must be written (n,)"),
      npy_row(shape("1"), "where '(' must be"),
      npy_row(shape("(-1,)"), "where a number from 0 must be"),
      npy_row(shape("(1.5,)"), "must be written (n,)"),
      npy_row(shape("(1e0,)"), "must be written (n,)"),
      npy_row(shape("(01,)"), "where a number from 0 must be"),
      npy_row(shape("(1L,)"), "must be written (n,)"),
      npy_row(shape("(99999999999999999999,)"), "where a number from 0 must be"),
      npy_row(shape("(9223372036854775808,)"), "where a number from 0 must be"),
      npy_row(shape("(4611686018427387904,)"), "announces shape (4611686018427387904)", ""),
      npy_row(shape("(4294967296, 4294967296)"), "announces shape", ""),
      npy_row(shape("(" + repeated("1,", 40) + ")"), "more than 32 axes"),
      npy_row(shape("(1,"), "where a number from 0 must be"),
  });
}

TEST(BadFile, npz) {
  const auto seeds = readers::seeds();
  const auto seed = [&](const char* name) {
    for (const auto& s : seeds)
      if (std::string(s.name) == name) return s.bytes;
    return std::string();
  };
  const std::string stored = seed("npz stored"), deflated = seed("npz deflated");
  const std::size_t directory = stored.find("PK\1\2"), end = stored.find("PK\5\6"), second = stored.find("PK\3\4", 4);
  const auto with = [](std::string bytes, std::size_t at, const std::string& other) {
    return bytes.replace(at, other.size(), other);
  };
  const auto both = [&](std::size_t in_local, std::size_t in_directory, const std::string& other) {
    return with(with(stored, in_local, other), directory + in_directory, other);
  };
  const std::size_t data = 30 + 5;
  std::string two_names = stored;
  two_names[second + 30] = 'a', two_names[stored.find("PK\1\2", directory + 1) + 46] = 'a';
  std::string text_entry = stored;
  text_entry.replace(31, 4, ".txt").replace(directory + 47, 4, ".txt");
  check({
      {readers::npz, "", "begins with \"\""},
      {readers::npz, "PK", "begins with \"PK\""},
      {readers::npz, "PK\3\4" + std::string(100, '\0'), "has no end of a zip directory"},
      {readers::npz, stored.substr(0, end), "has no end of a zip directory"},
      {readers::npz, with(stored, end + 4, little(1, 2)), "one part of several"},
      {readers::npz, with(stored, end + 8, little(0xffffffff, 4)), "zip64"},
      {readers::npz, with(stored, end + 8, little(0x00010001, 4)), "directory longer than its entries"},
      {readers::npz, with(stored, end + 8, little(0x00030003, 4)), "entry 2 of its directory is broken"},
      {readers::npz, with(stored, end + 12, little(0xfffffff0, 4)), "does not end at its end record"},
      {readers::npz, with(stored, end + 16, little(0, 4)), "does not end at its end record"},
      {readers::npz, with(stored, directory, "XX"), "entry 0 of its directory is broken"},
      {readers::npz, with(stored, directory + 8, little(1, 2)), "is encrypted"},
      {readers::npz, both(8, 10, little(12, 2)), "is compressed by method 12"},
      {readers::npz, with(stored, directory + 10, little(8, 2)), "has another method in its local header"},
      {readers::npz, with(stored, directory + 20, little(0xffffffff, 4)), "zip64"},
      {readers::npz, with(stored, directory + 20, little(1, 4)), "its two sizes differ"},
      {readers::npz, with(stored, directory + 20, little(1 << 20, 4) + little(1 << 20, 4)),
       "reaches into the directory"},
      {readers::npz, with(deflated, deflated.find("PK\1\2") + 24, little(0xfffffffe, 4)),
       "announces 4294967294 bytes, more than"},
      {readers::npz, with(stored, directory + 28, little(0xffff, 2)), "is cut off"},
      {readers::npz, with(stored, directory + 42, little(0xfffffff0, 4)), "has no local header"},
      {readers::npz, with(stored, directory + 42, little(7, 4)), "has no local header"},
      {readers::npz, with(stored, 30, "z"), "has another name in its local header"},
      {readers::npz, two_names, "\"a.npy\" is given twice"},
      {readers::npz, text_entry, "\"a.txt\", which is no .npy"},
      {readers::npz, with(stored, data + 130, "!"), "\"a\": its checksum is wrong"},
      {readers::npz, with(stored, directory + 16, "!!!!"), "\"a\": its checksum is wrong"},
      {readers::npz, with(deflated, data, "\xff\xff\xff"), "its compressed data is corrupt"},
      {readers::npz, with(deflated, deflated.find("PK\1\2") + 24, little(200, 4)), "early"},
      {readers::npz, with(deflated, deflated.find("PK\1\2") + 24, little(20, 4)), "has bytes behind its end"},
  });
  // Two entries of the directory that share one place in the file.
  std::string overlap = stored;
  const std::size_t other = stored.find("PK\1\2", directory + 1);
  overlap.replace(second + 30, 1, "a");
  overlap.replace(other + 42, 4, little(0, 4))
      .replace(30, 1, "b")
      .replace(directory + 46, 1, "b")
      .replace(other + 46, 1, "b");
  check({{readers::npz, overlap, "\"b.npy\" is given twice"}});
}

TEST(BadFile, idx) {
  const std::string magic("\0\0\x0b\x02", 4), six("abcdefghijkl");
  const auto big = [](unsigned number) {
    const std::string l = little(number, 4);
    return std::string(l.rbegin(), l.rend());
  };
  const std::string gzip = readers::seeds()[5].bytes;
  std::string wrong_sum = gzip, wrong_length = gzip;
  wrong_sum[gzip.size() - 8] = static_cast<char>(wrong_sum[gzip.size() - 8] ^ 1);
  wrong_length[gzip.size() - 4] = static_cast<char>(wrong_length[gzip.size() - 4] ^ 1);
  const auto packed = [](const std::string& bytes) {
    const auto data = compressed(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), Compression::gzip);
    return std::string(reinterpret_cast<const char*>(data.data()), data.size());
  };
  check({
      {readers::idx, "", "has 0 bytes"},
      {readers::idx, std::string("\0\0\x0b", 3), "has 3 bytes"},
      {readers::idx, std::string("\1\0\x0b\x02", 4) + big(2) + big(3) + six, "begins with two zero bytes"},
      {readers::idx, std::string("\0\0\x08\x02", 4) + big(2) + big(3) + six,
       "has elements of type uint8; int16 was asked for"},
      {readers::idx, std::string("\0\0\x0a\x02", 4) + big(2) + big(3) + six, "type unknown (10)"},
      {readers::idx, std::string("\0\0\xff\x02", 4) + big(2) + big(3) + six, "type unknown (255)"},
      {readers::idx, std::string("\0\0\x0b\x03", 4) + big(2) + big(3) + six, "has rank 3; rank 2 was asked for"},
      {readers::idx, std::string("\0\0\x0b\xff", 4) + big(2), "has rank 255"},
      {readers::idx, magic, "ends 4 bytes early"},
      {readers::idx, magic + big(2) + "\0", "ends 4 bytes early"},
      {readers::idx, magic + big(2) + big(3) + "abcdefghijk", "ends 1 bytes early"},
      {readers::idx, magic + big(2) + big(3) + six + "x", "has 1 bytes behind the last element"},
      {readers::idx, magic + big(2000) + big(3) + six, "announces shape (2000, 3), more than a file of"},
      {readers::idx, magic + big(0xffffffff) + big(0xffffffff) + six, "announces shape (4294967295, 4294967295)"},
      {readers::idx, magic + big(0x80000000) + big(0x80000000), "announces shape"},  // times 2 wraps to 2^63
      {readers::idx, gzip.substr(0, gzip.size() - 1), "ends too early"},
      {readers::idx, gzip.substr(0, 15), "ends too early"},
      {readers::idx, wrong_sum, "incorrect data check"},
      {readers::idx, wrong_length, "incorrect length check"},
      {readers::idx, gzip + "x", "has bytes behind its end"},
      {readers::idx, gzip + gzip, "has bytes behind its end"},
      {readers::idx, std::string("\x1f\x8b\x07\0", 4) + std::string(20, '\0'),
       "compressed data is corrupt: unknown compression method"},
      {readers::idx, packed(magic + big(2) + big(3) + "ab"), "ends 10 bytes early"},
      {readers::idx, packed(magic + big(2) + big(3) + six + "x"), "has bytes behind its end"},
      {readers::idx, packed(magic + big(100000000) + big(3)), "announces shape (100000000, 3), more than a file of"},
      {readers::idx, packed(""), "ends 4 bytes early"},
  });
}

TEST(BadFile, png_and_ppm) {
  const std::string png = readers::seeds()[6].bytes;
  const auto with = [](std::string bytes, std::size_t at, const std::string& other) {
    return bytes.replace(at, other.size(), other);
  };
  const std::size_t pixels = png.find("IDAT");
  // The header's own checksum, computed for its new content, so that the content is what is wrong.
  const auto header = [&](const std::string& fields) {
    std::string bytes = with(png, 16, fields);
    const auto sum = little(detail::crc_of(bytes.data() + 12, 17), 4);
    return with(bytes, 29, std::string(sum.rbegin(), sum.rend()));
  };
  check({
      {readers::png, "", "is empty"},
      {readers::png, "GIF89a", "is no valid PNG"},
      {readers::png, png.substr(0, 8), "is no valid PNG"},
      {readers::png, with(png, 16, "\1"), "is no valid PNG: IHDR: CRC error"},
      {readers::png, header(std::string("\0\0\0\0", 4)), "is no valid PNG"},
      {readers::png, header("\xff\xff\xff\xff"), "is no valid PNG"},
      {readers::png, header(std::string("\0\x0f\0\0\0\x0f\0\0", 8)), "announces 983040 x 983040 pixels; a file of"},
      {readers::png, header(std::string("\0\0\x10\0\0\0\x10\0", 8)), "announces 4096 x 4096 pixels; a file of"},
      {readers::png, header(std::string("\0\0\0\2\0\0\0\x30", 8)), "is no valid PNG"},  // more rows than there are
      {readers::png, with(png, pixels + 6, "\xff\xff\xff"), "is no valid PNG"},
      {readers::png, png.substr(0, pixels + 8), "is no valid PNG"},
      {readers::ppm, "", "begins with \"\""},
      {readers::ppm, "P3 1 1 255 1 2 3", "P5 or P6 are read"},
      {readers::ppm, "P5", "begins with \"P5\""},
      {readers::ppm, "P5 ", "the width must be a number"},
      {readers::ppm, "P51 1 255 x", "the width must be a number"},
      {readers::ppm, "P5 0 1 255 x", "the width must be a number from 1"},
      {readers::ppm, "P5 -1 1 255 x", "the width must be a number from 1 to 1073741824, not \"-1 1 255\""},
      {readers::ppm, "P5 1 1 256 xx", "the maximum must be a number from 1 to 255"},
      {readers::ppm, "P5 1 1 65535 xx", "the maximum must be a number from 1 to 255"},
      {readers::ppm, "P5 99999999999999999999 1 255 x", "the width must be a number"},
      {readers::ppm, "P5 1 1 255", "must end with one white space"},
      {readers::ppm, "P5 1 1 255 ", "has 0 bytes of pixels; 1 x 1 x 1 are announced"},
      {readers::ppm, "P5 1 1 255 xy", "has 2 bytes of pixels"},
      {readers::ppm, "P6 1 1 255 xy", "1 x 1 x 3 are announced"},
      {readers::ppm, "P6 1073741824 1073741824 255 xy", "1073741824 x 1073741824 x 3 are announced"},
      {readers::ppm, "P5 1 1 7 x", "byte 9 is above the maximum of 7"},
      {readers::ppm, "P5 # never ends", "the width must be a number"},
  });
}

TEST(BadFile, what_is_no_regular_file_is_refused_by_every_reader) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "directory");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("loop", folder / "loop");
  const std::pair<std::filesystem::path, const char*> rows[] = {
      {folder / "directory", "is a directory, not a regular file"},
      {folder / "pipe", "is a pipe, not a regular file"},  // and does not wait for a writer
      {folder / "loop", "cannot be opened: Too many levels of symbolic links"},
      {folder / "missing", "cannot be opened: No such file or directory"},
      {folder / "missing" / "x", "cannot be opened: No such file or directory"},
      {"/dev/zero", "is a device, not a regular file"},
      {"", "cannot be opened: No such file or directory"},
  };
  for (const auto& [path, reason] : rows)
    for (const auto& reader : readers::all) {
      const std::string text = thrown<FileError>([&, &p = path] { reader.read(p); });
      EXPECT_NE(text.find(path.string() + ": " + reason), std::string::npos) << reader.name << ": " << text;
    }
  for (const auto& reader : readers::all)  // regular by name, but of size 0 until read
    EXPECT_NE(thrown<FileError>([&] { reader.read("/proc/self/maps"); }).find("/proc/self/maps: "), std::string::npos)
        << reader.name;
}
}  // namespace
}  // namespace broken_file_test
