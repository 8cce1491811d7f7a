#pragma once
/// The kernels of the library in compiled form. A header-only library compiles its kernels in every unit that uses them,
/// for each instruction set. A program of many units saves most of that time so:
///
///     all units          are compiled with -DATTEND_COMPILED: kernels for float and double are declared in them, and no more
///     one unit beside    consists of #include <attend/compiled.hpp>, and defines them
///
/// with the same flags for all; what depends on a user's function (score_mod, activations) stays in the user's units. In
/// CMake, target_link_libraries(main PRIVATE attend::compiled) does both.
#ifdef ATTEND_COMPILED_KERNEL
#error "attend/compiled.hpp stands in a unit of its own: no other header of the library comes before it"
#endif
#ifndef ATTEND_COMPILED
#define ATTEND_COMPILED
#endif
#define ATTEND_COMPILED_HERE
#include "attend/kernels/additive_scores.hpp"
#include "attend/kernels/attention.hpp"
#include "attend/kernels/attention_decode.hpp"
#include "attend/kernels/attention_scores.hpp"
#include "attend/kernels/broadcast.hpp"
#include "attend/kernels/channel_norm.hpp"
#include "attend/kernels/column_sums.hpp"
#include "attend/kernels/convolution.hpp"
#include "attend/kernels/dropout.hpp"
#include "attend/kernels/elementwise.hpp"
#include "attend/kernels/gate.hpp"
#include "attend/kernels/gemm.hpp"
#include "attend/kernels/gemm_packed.hpp"
#include "attend/kernels/global_pooling.hpp"
#include "attend/kernels/loss.hpp"
#include "attend/kernels/optimizer.hpp"
#include "attend/kernels/pooling.hpp"
#include "attend/kernels/reduction.hpp"
#include "attend/kernels/rotary.hpp"
#include "attend/kernels/row_norm.hpp"
#include "attend/kernels/softmax.hpp"
#include "attend/kernels/strips.hpp"
