#pragma once
/// All losses. Each is one fused operation that gives a scalar Variable to call `backward` on.
#include "attend/train/binary_cross_entropy.hpp"
#include "attend/train/cross_entropy.hpp"
#include "attend/train/dice.hpp"
#include "attend/train/mse.hpp"
