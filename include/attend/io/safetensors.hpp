#pragma once
/// The parameters and buffers of a model in a safetensors file, under PyTorch's dotted names: a `state_dict`.
#include <cmath>
#include <cstring>
#include <functional>

#include "attend/autograd/walk.hpp"
#include "attend/io/safetensors_file.hpp"

ATTEND_BEGIN

struct LoadOptions {
  bool strict = true;       ///< false: load what fits, and report the rest
  std::string prefix = {};  ///< of the names in the file; what does not begin with it is not looked at
  /// Name in the file (without the prefix) of the model's parameter; empty: the same name.
  std::function<std::string(const std::string&)> rename = {};
  SafetensorsOptions file = {};
};

/// What `load_safetensors` found; names are those of the model, in `unexpected` those of the file.
struct LoadReport {
  struct Mismatch {
    std::string name;
    std::vector<Index> in_file, in_model;
  };
  /// Two names of one parameter, with different values in the file; those of `first` count.
  struct Conflict {
    std::string first, second;
  };
  std::vector<std::string> loaded, missing, unexpected;
  std::vector<Mismatch> mismatching;
  std::vector<Conflict> conflicting;

  bool complete() const { return missing.empty() && unexpected.empty() && mismatching.empty() && conflicting.empty(); }
  /// Everything that is wrong, one name a line.
  std::string text() const {
    std::string text;
    for (const std::string& name : missing) text += "\n  missing: " + name;
    for (const std::string& name : unexpected) text += "\n  unexpected: " + name;
    for (const Mismatch& m : mismatching)
      text += "\n  mismatching: " + m.name + " has shape " + to_string(m.in_file) + " in the file, " +
              to_string(m.in_model) + " in the model";
    for (const Conflict& c : conflicting)
      text += "\n  conflicting: " + c.first + " and " + c.second +
              " are one parameter of the model, and have different values in the file";
    return text;
  }
};

namespace detail {
template <class Model, class = void>
struct ScalarOfModel {
  using type = float;
};
template <class Model>
struct ScalarOfModel<Model, std::void_t<typename Model::Scalar>> {
  using type = typename Model::Scalar;
};
/// The scalar named by the caller, else the model's own `Scalar`, else float.
template <class S, class Model>
using ScalarFor = typename std::conditional_t<std::is_void_v<S>, ScalarOfModel<std::remove_const_t<Model>>,
                                              std::common_type<S>>::type;
}  // namespace detail

/// Adds every parameter and buffer of `model` under `prefix` + its dotted name. A buffer of rank 0 that holds a whole
/// number is a counter (`num_batches_tracked`) and becomes an I64, as PyTorch has it. OptionError if two have one name.
template <class S = void, class Model>
void add_parameters(SafetensorsWriter& writer, const Model& model, const std::string& prefix = "") {
  for (const auto& p : parameters<detail::ScalarFor<S, Model>>(model)) {
    const bool counts = p->shape().empty() && p->kind() == Kind::buffer && std::abs(*p->data()) <= 0x1p53 &&
                        *p->data() == std::floor(*p->data());
    if (counts) {
      const auto counter = static_cast<std::int64_t>(*p->data());
      writer.add(prefix + p.name, ArrayBytes::of({}, &counter, 1));
    } else {
      writer.add(prefix + p.name, ArrayBytes::of(p->shape(), p->data(), p->size()));
    }
  }
}

/// Writes a model's parameters and buffers, replacing the file entirely or, on FileError, not at all.
/// A model of doubles that does not declare `Scalar` is saved with `save_safetensors<double>(...)`.
template <class S = void, class Model>
void save_safetensors(const std::filesystem::path& path, const Model& model,
                      const std::map<std::string, std::string>& metadata = {}) {
  SafetensorsWriter writer;
  add_parameters<S>(writer, model);
  for (const auto& [key, value] : metadata) writer.metadata(key, value);
  writer.write(path);
}

/// Sets the model's parameters and buffers from an open file. Strict: FileError naming everything that is missing,
/// unexpected, of another shape or contradictory, unless all of it fits. A parameter that the model shares has several
/// names: one of them is enough (safetensors.torch.save_model writes no more), and where the file has more, as a
/// state_dict has, their values must be the same. Nothing is set before everything to be set has been read and converted
/// (see StoredArray), so on any exception the model is as it was.
template <class S = void, class Model>
LoadReport load_safetensors(const SafetensorsFile& file, Model& model, const LoadOptions& options = {}) {
  using Scalar = detail::ScalarFor<S, Model>;
  struct Value {
    ParameterRef<Scalar> parameter;
    Tensor<Scalar, 1> flat;
  };
  LoadReport report;
  std::vector<Value> values;
  std::map<std::string, bool> used;
  std::vector<ParameterRef<Scalar>> absent;
  std::map<const void*, std::size_t> place;  // of a parameter in `values`
  for (const ParameterRef<Scalar>& p : parameters<Scalar>(model)) {
    const std::string name = options.prefix + (options.rename ? options.rename(p.name) : p.name);
    if (!file.contains(name)) {
      absent.push_back(p);
      continue;
    }
    used[name] = true;
    if (file.shape(name) != p->shape()) {
      report.mismatching.push_back({p.name, file.shape(name), p->shape()});
      continue;
    }
    auto flat = file.flat<Scalar>(name);
    const auto [known, first] = place.emplace(p.data, values.size());
    if (first) {
      values.push_back({p, std::move(flat)});
    } else if (const Value& v = values[known->second];
               flat.size() > 0 &&
               std::memcmp(v.flat.data(), flat.data(), static_cast<std::size_t>(flat.size()) * sizeof(Scalar)) != 0) {
      report.conflicting.push_back({v.parameter.name, p.name});
      continue;
    }
    report.loaded.push_back(p.name);
  }
  for (const ParameterRef<Scalar>& p : absent)
    if (place.count(p.data) == 0) report.missing.push_back(p.name);
  for (const std::string& name : file.names())
    if (name.compare(0, options.prefix.size(), options.prefix) == 0 && used.count(name) == 0)
      report.unexpected.push_back(name);
  file.source().require(report.complete() || !options.strict,
                        [&] { return message("does not fit the model; nothing was loaded:", report.text()); });

  std::vector<std::unique_ptr<Edit<Scalar, 1>>> edits;  // what can fail for want of memory fails here
  for (Value& v : values) edits.emplace_back(new Edit<Scalar, 1>(v.parameter->edit_flat()));
  for (std::size_t i = 0; i < values.size(); ++i)
    std::copy_n(values[i].flat.data(), values[i].flat.size(), edits[i]->data());
  return report;
}
template <class S = void, class Model>
LoadReport load_safetensors(const std::filesystem::path& path, Model& model, const LoadOptions& options = {}) {
  return load_safetensors<S>(SafetensorsFile(path, options.file), model, options);
}

ATTEND_END
