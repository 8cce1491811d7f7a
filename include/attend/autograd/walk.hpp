#pragma once
#include <string_view>
#include <unordered_set>

#include "attend/autograd/parameter.hpp"
#include "attend/core/nearest_names.hpp"

ATTEND_BEGIN

/// Where every walk over a model ends. `ParameterRef<const S>` comes from a const model and cannot edit.
template <class S>
struct ParameterRef {
  using Data = std::conditional_t<std::is_const_v<S>, const ParameterData<std::remove_const_t<S>>,
                                  ParameterData<std::remove_const_t<S>>>;
  std::string name;
  Data* data;
  Data* operator->() const { return data; }
};

template <class S>
struct Walk {  // S is const; or void: layers only
  std::vector<ParameterRef<S>> parameters;
  std::vector<std::pair<LayerKey, std::string>> layers;
};
template <>
struct Walk<void> {
  std::vector<std::pair<LayerKey, std::string>> layers;
};

namespace detail {
template <class T>
struct IsParameter : std::false_type {};
template <class S, int R>
struct IsParameter<Parameter<S, R>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T, class A>
struct IsVector<std::vector<T, A>> : std::true_type {};
template <class T, class = void>
struct IsErased : std::false_type {};
template <class T>
struct IsErased<T, std::void_t<typename T::Erased>> : std::true_type {};
ATTEND_OUT_OF_LINE inline std::string join(const std::string& path, std::string_view name) {
  std::string joined = path;
  if (!path.empty() && !name.empty()) joined += '.';
  return joined.append(name);
}
}  // namespace detail

/// Follows `children` into layers, vectors and AnyLayers. A child named "" adds nothing to the path.
template <class S, class Node>
void walk(Walk<S>& found, Node& node, const std::string& path = "") {
  using N = std::remove_const_t<Node>;
  if constexpr (detail::IsParameter<N>::value) {
    if constexpr (!std::is_void_v<S>) {
      static_assert(std::is_same_v<std::remove_const_t<S>, typename N::Scalar>,
                    "attend: the model's parameters have another scalar type");
      (void)node.data();  // throws for a layer that was moved from
      found.parameters.push_back({path, &node});
    }
  } else if constexpr (detail::IsVector<N>::value) {
    for (std::size_t i = 0; i < node.size(); ++i) walk(found, node[i], detail::join(path, to_string(i)));
  } else {
    found.layers.emplace_back(key_of<N>(node), path);
    if constexpr (detail::IsErased<N>::value)
      node.walk_held(found, path);
    else
      N::children(node, [&](std::string_view name, auto& child) { walk(found, child, detail::join(path, name)); });
  }
}

template <class S, class Model>
auto parameters(Model& model) {
  Walk<const S> found;
  walk(found, std::as_const(model));
  if constexpr (std::is_const_v<Model>) {
    return std::move(found.parameters);
  } else {  // what a model holds may be edited where the model may: one walk is compiled for both
    std::vector<ParameterRef<S>> all;
    all.reserve(found.parameters.size());
    for (auto& p : found.parameters) all.push_back({std::move(p.name), const_cast<ParameterData<S>*>(p.data)});
    return all;
  }
}
/// Each parameter and buffer once: a shared one is walked under each of its names, and stands here under the first.
template <class S, class Model>
auto distinct_parameters(Model& model) {
  auto all = parameters<S>(model);
  std::unordered_set<const void*> seen;
  std::size_t count = 0;
  for (auto& p : all)
    if (seen.insert(p.data).second) std::swap(all[count++], p);
  all.resize(count);
  return all;
}
/// The parameter or buffer of that dotted name. OptionError, with the nearest names, if there is none.
template <class S, class Model>
auto parameter(Model& model, const std::string& name) {
  auto all = parameters<S>(model);
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.name == name; });
  require<OptionError>(found != all.end(), "parameter", [&] {
    std::vector<std::string> names;
    for (const auto& p : all) names.push_back(p.name);
    return message("the model has no parameter named ", name, "; the nearest are ", detail::nearest_names(name, names));
  });
  return *found;
}
template <class S, class Model>
Index count_parameters(const Model& model) {
  Index count = 0;
  for (const auto& p : distinct_parameters<S>(model)) count += p->kind() == Kind::parameter ? p->size() : 0;
  return count;
}
/// Takes parameters out of training (off) or into it again: frozen ones enter computations as plain values, get no
/// gradient, and no optimizer step changes them. Running statistics are no parameters: those of a frozen batch norm stay
/// where the tape is of Mode::evaluation.  PyTorch's requires_grad_
template <class S, class Model>
void set_trainable(Model& model, bool on) {
  for (const auto& p : parameters<S>(model)) p->set_trainable(on);
}
/// The same for those that `which(name, shape)` picks, such as `below("layer1")` of train/parameter_group.hpp.
/// OptionError if it picks none.
template <class S, class Model, class Filter>
void set_trainable(Model& model, bool on, const Filter& which) {
  bool any = false;
  for (const auto& p : parameters<S>(model)) {
    if (p->kind() != Kind::parameter || !which(p.name, p->shape())) continue;
    p->set_trainable(on);
    any = true;
  }
  require<OptionError>(any, "set_trainable", [] { return "the filter picks no parameter of the model"; });
}

ATTEND_END
