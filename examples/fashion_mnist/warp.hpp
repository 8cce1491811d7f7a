#pragma once
#include <attend/core/tensor.hpp>
#include <cmath>

/// One image turned by `degrees`, enlarged by `scale` and moved by (down, right) pixels about its centre, sampled bilinearly;
/// what comes from outside is 0. For measuring how a network takes changes that it was not shown.
inline void warp(const float* from, float* to, attend::Index side, double degrees, double scale, double down,
                 double right) {
  const double angle = degrees * 3.14159265358979323846 / 180, c = std::cos(angle) / scale, s = std::sin(angle) / scale;
  const double centre = double(side - 1) / 2;
  for (attend::Index y = 0; y < side; ++y)
    for (attend::Index x = 0; x < side; ++x) {
      const double dy = double(y) - centre - down, dx = double(x) - centre - right;
      const double sy = c * dy - s * dx + centre, sx = s * dy + c * dx + centre;
      const double fy = std::floor(sy), fx = std::floor(sx);
      double sum = 0;
      for (int oy = 0; oy < 2; ++oy)
        for (int ox = 0; ox < 2; ++ox) {
          const attend::Index py = attend::Index(fy) + oy, px = attend::Index(fx) + ox;
          if (py < 0 || py >= side || px < 0 || px >= side) continue;
          sum += (oy ? sy - fy : 1 - (sy - fy)) * (ox ? sx - fx : 1 - (sx - fx)) * double(from[py * side + px]);
        }
      to[y * side + x] = float(sum);
    }
}
