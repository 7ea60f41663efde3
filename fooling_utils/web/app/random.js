// Torch's generator. Source: Matsumoto and Nishimura 1998, "Mersenne Twister", doi 10.1145/272991.272995.
export function generator(seed) {
  const [length, half] = [624, 397];
  const state = new Uint32Array(length);
  state[0] = seed;
  for (let k = 1; k < length; k++) state[k] = Math.imul(1812433253, state[k - 1] ^ (state[k - 1] >>> 30)) + k;
  let next = length;
  function renew() {
    for (let k = 0; k < length; k++) {
      const bits = (state[k] & 0x80000000) | (state[(k + 1) % length] & 0x7fffffff);
      state[k] = state[(k + half) % length] ^ (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
    }
    next = 0;
  }
  return function uniform() { // from 0 to 1, with the 24 bits of a float32
    if (next === length) renew();
    let bits = state[next++];
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    bits ^= bits >>> 18;
    return (bits & 0xffffff) / 2 ** 24;
  };
}
