#pragma once
/// Needs nlohmann-json (as io/ does); included by its own name.
#include "attend/core/rng.hpp"
#include "attend/io/safetensors.hpp"
#include "attend/train/state.hpp"

ATTEND_BEGIN

/// Everything a run needs to go on as if it had never stopped, in one safetensors file.
///
///   Checkpoint checkpoint;
///   checkpoint.add("model", model).add("optimizer", optimizer).add("average", ema).add("rng", rng).add("epoch", epoch);
///   if (resume) checkpoint.load(path);
///   ...
///   checkpoint.save(path);
///
/// Parts are held by reference and must outlive it. They are models; what has `save` and `stage` (optimizers, Ema); an
/// Rng; integers, bool, floating-point numbers, std::string and std::vector<double>. The parameters of a model called
/// "model" have the names "model." + dotted name in the file, so load_safetensors with that prefix reads them too.
class Checkpoint {
 public:
  /// A name is given once. A model of doubles that does not declare `Scalar` is added with `add<double>(...)`.
  template <class S = void, class Part>
  Checkpoint& add(const std::string& name, Part& part) {
    require<OptionError>(!name.empty() && names_.insert(name).second, "checkpoint",
                         [&] { return message("a part is named \"", name, "\", which is empty or given twice"); });
    if constexpr (std::is_same_v<Part, Rng>)
      add_rng(name, part);
    else if constexpr (std::is_arithmetic_v<Part>)
      add_number(name, part);
    else if constexpr (std::is_same_v<Part, std::string>)
      parts_.push_back({[name, &part](State& to) { to.put(name, part); },
                        [name, &part](const State& from) { return replace(part, from.text(name)); }});
    else if constexpr (std::is_same_v<Part, std::vector<double>>)
      parts_.push_back({[name, &part](State& to) { to.put(name, part); },
                        [name, &part](const State& from) { return replace(part, from.array<double>(name)); }});
    else if constexpr (has_stage<Part>(nullptr))
      parts_.push_back({[name, &part](State& to) { part.save(to, name); },
                        [name, &part](const State& from) { return part.stage(from, name); }});
    else
      add_model<typename detail::ScalarFor<S, Part>>(name, part);
    return *this;
  }

  /// Replaces the file entirely or, on FileError, not at all.
  void save(const std::filesystem::path& path) const {
    State state;
    for (const Part& part : parts_) part.save(state);
    SafetensorsWriter writer;
    std::uint64_t sum = 0;
    for (const auto& [name, array] : state.arrays()) {
      ArrayBytes bytes = in_file_order(array);
      sum = checksum(sum, name, bytes);
      writer.add(name, std::move(bytes));
    }
    writer.metadata("format", format).metadata("checksum", to_string(sum)).write(path);
  }
  /// Sets every part, or none: FileError if the file is damaged, is no checkpoint, or does not hold exactly these parts
  /// with these shapes.
  void load(const std::filesystem::path& path) const {
    const State state = read(path);
    std::vector<std::function<void()>> commits;
    for (const Part& part : parts_) commits.push_back(part.stage(state));
    const auto unread = state.unread();
    state.require(unread.empty(), [&] {
      std::string text = "holds " + to_string(unread.size()) + " arrays that this run has no place for:";
      for (std::size_t i = 0; i < unread.size() && i < 5; ++i) text += " \"" + State::printable(unread[i]) + '"';
      return text;
    });
    for (const auto& commit : commits) commit();
  }

 private:
  static constexpr const char* format = "attend checkpoint 1";
  struct Part {
    std::function<void(State&)> save;
    std::function<std::function<void()>(const State&)> stage;
  };

  /// A function: a model may have a child of that name.
  template <class P, class = std::enable_if_t<std::is_member_function_pointer_v<decltype(&P::stage)>>>
  static constexpr bool has_stage(P*) {
    return true;
  }
  template <class P>
  static constexpr bool has_stage(...) {
    return false;
  }
  template <class T>
  static std::function<void()> replace(T& part, T value) {
    return [&part, value = std::move(value)]() mutable { part = std::move(value); };
  }

  void add_rng(const std::string& name, Rng& rng) {
    parts_.push_back({[name, &rng](State& to) {
                        const Rng::State s = rng.state();
                        to.put(name, std::vector<std::uint64_t>{s.key, s.next});
                      },
                      [name, &rng](const State& from) {
                        const auto s = from.array<std::uint64_t>(name, 2);
                        return replace(rng, Rng::restored({s[0], s[1]}));
                      }});
  }
  template <class T>
  void add_number(const std::string& name, T& number) {
    using Stored = std::conditional_t<
        std::is_floating_point_v<T>, double,
        std::conditional_t<std::is_unsigned_v<T> && !std::is_same_v<T, bool>, std::uint64_t, std::int64_t>>;
    parts_.push_back({[name, &number](State& to) { to.put(name, std::vector<Stored>{static_cast<Stored>(number)}); },
                      [name, &number](const State& from) {
                        const Stored stored = from.array<Stored>(name, 1)[0];
                        const T value = static_cast<T>(stored);
                        if constexpr (std::is_integral_v<T>)
                          from.require(static_cast<Stored>(value) == stored,
                                       [&] { return message(name, " is ", stored, ", which does not fit"); });
                        return replace(number, value);
                      }});
  }
  template <class S, class Model>
  void add_model(const std::string& name, Model& model) {
    parts_.push_back({[name, &model](State& to) {
                        for (const auto& p : parameters<S>(model))
                          to.put(detail::join(name, p.name), p->shape(), p->data(), p->size());
                      },
                      [name, &model](const State& from) {
                        std::vector<std::vector<S>> values;
                        const auto all = parameters<S>(model);
                        for (const auto& p : all)
                          values.push_back(from.array<S>(detail::join(name, p.name), p->shape()));
                        auto edits = std::make_shared<std::vector<std::unique_ptr<Edit<S, 1>>>>();
                        for (const auto& p : all)  // what can fail for want of memory fails here
                          edits->emplace_back(new Edit<S, 1>(p->edit_flat()));
                        return std::function<void()>([values = std::move(values), edits] {
                          for (std::size_t i = 0; i < values.size(); ++i)
                            std::copy(values[i].begin(), values[i].end(), (*edits)[i]->data());
                        });
                      }});
  }

  template <class T>
  static ArrayBytes bytes_of(const State::Array& array) {
    std::vector<T> values(array.bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
    return ArrayBytes::of(array.shape, values.data(), static_cast<Index>(values.size()));
  }
  static ArrayBytes in_file_order(const State::Array& array) {
    switch (array.type) {
      case State::Type::f32:
        return bytes_of<float>(array);
      case State::Type::f64:
        return bytes_of<double>(array);
      case State::Type::i64:
        return bytes_of<std::int64_t>(array);
      case State::Type::u64:
        return bytes_of<std::uint64_t>(array);
      default:
        return bytes_of<std::uint8_t>(array);
    }
  }
  /// Of names, types, shapes and values: a changed byte anywhere gives another sum.
  static std::uint64_t checksum(std::uint64_t sum, const std::string& name, const ArrayBytes& array) {
    const auto mix = [&](std::uint64_t word) {
      sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
      sum ^= sum >> 29;
    };
    for (const char c : name) mix(static_cast<unsigned char>(c));
    mix(static_cast<std::uint64_t>(array.dtype) + 256);
    for (const Index extent : array.shape) mix(static_cast<std::uint64_t>(extent));
    const std::byte* at = array.bytes.data();
    std::size_t left = array.bytes.size();
    for (; left >= 8; at += 8, left -= 8) mix(detail::load_bytes<std::uint64_t>(at));
    for (; left > 0; ++at, --left) mix(static_cast<std::uint64_t>(*at));
    return sum;
  }

  template <class T>
  static void copy(State& state, const SafetensorsFile& file, const std::string& name) {
    const auto values = file.flat<T>(name);
    state.put(name, file.shape(name), values.data(), values.size());
  }
  static State read(const std::filesystem::path& path) {
    const SafetensorsFile file(path);
    const auto text = [&](const char* key) {
      const auto found = file.metadata().find(key);
      return found == file.metadata().end() ? std::string() : found->second;
    };
    State state(path.string());
    state.require(text("format") == format, [&] {
      return message("is a safetensors file, but no checkpoint of this version (its metadata lacks format \"", format,
                     "\")");
    });
    for (const std::string& name : file.names()) {
      const Dtype dtype = file.dtype(name);
      if (dtype == Dtype::F32)
        copy<float>(state, file, name);
      else if (dtype == Dtype::F64)
        copy<double>(state, file, name);
      else if (dtype == Dtype::I64)
        copy<std::int64_t>(state, file, name);
      else if (dtype == Dtype::U64)
        copy<std::uint64_t>(state, file, name);
      else {
        state.require(dtype == Dtype::U8, [&] { return "holds a tensor of a type that checkpoints do not use"; });
        copy<std::uint8_t>(state, file, name);
      }
    }
    std::uint64_t sum = 0;
    for (const auto& [name, array] : state.arrays()) sum = checksum(sum, name, in_file_order(array));
    state.require(to_string(sum) == text("checksum"),
                  [] { return "is damaged: its contents do not give its checksum; nothing was loaded"; });
    return state;
  }

  std::set<std::string> names_;
  std::vector<Part> parts_;
};

ATTEND_END
