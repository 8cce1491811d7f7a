// refused: attend: an AttendMask is made of
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
AttendMask f(const Tensor<float, 4>& m) { return AttendMask(m); }
#else
AttendMask f(const Tensor<bool, 4>& m) { return AttendMask(m); }
#endif
