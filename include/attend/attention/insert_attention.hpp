#pragma once
#include "attend/attention/identity_start.hpp"
#include "attend/core/nearest_names.hpp"

ATTEND_BEGIN

/// Puts an attention into an empty slot of a network that is there already, for instance trained: the slot is the
/// `AnyLayer<S, 4>` at the dotted name `where`, as in a residual block, and the attention begins as the identity, so that
/// the network's outputs are at first what they were, bit for bit: in an IdentityStart, or by itself (non-local, DANet's,
/// criss-cross, global response norm), for of what begins twice as the identity no gradient would reach anything.
///
///     load_safetensors("resnet.safetensors", net);
///     insert_attention<float>(net, "layer4.1.se", make_attention<float>("se", {.channels = 512}, rng));
///     set_trainable<float>(net, false);
///     set_trainable<float>(net, true, below("layer4.1.se"));
///
/// Throws OptionError where `where` names no such slot, a layer of fixed type, or a slot that is taken (with the nearest
/// empty slots), or where `attention` is empty.
template <class S, class Model>
void insert_attention(Model& model, const std::string& where, AnyLayer<S, 4> attention) {
  require<OptionError>(!attention.empty(), "insert_attention",
                       [&] { return message("the attention for ", where, " is empty"); });
  Walk<const S> found;
  walk(found, std::as_const(model));
  AnyLayer<S, 4>* slot = nullptr;
  bool fixed = false;
  std::vector<std::string> empty;
  for (const auto& [key, path] : found.layers) {
    if (key.type != &type_tag<AnyLayer<S, 4>>) {
      fixed = fixed || path == where;
      continue;
    }
    auto* here = static_cast<AnyLayer<S, 4>*>(const_cast<void*>(key.address));  // the model is not const
    if (here->empty()) empty.push_back(path);
    if (path == where && !slot) slot = here;
  }
  require<OptionError>(slot && slot->empty(), "insert_attention", [&] {
    return message(slot    ? "the slot " + where + " is taken; an empty one is needed"
                   : fixed ? where + " is a layer of fixed type; an AnyLayer is needed"
                           : "there is no " + where,
                   "; the nearest empty slots are ", detail::nearest_names(where, empty));
  });
  *slot =
      attention.starts_as_identity() ? std::move(attention) : AnyLayer<S, 4>(IdentityStart<S>(std::move(attention)));
}

ATTEND_END
