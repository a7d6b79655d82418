// Cameras, microphones and screens: asking for them, and saying in words why one cannot be had.

const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 24, max: 30 } };

function words(error, what) {
  if (error.name === 'NotAllowedError')
    return `This page may not use the ${what}. Allow it in the browser's settings for this page.`;
  if (error.name === 'NotFoundError' || error.name === 'OverconstrainedError') return `There is no ${what}.`;
  if (error.name === 'NotReadableError') return `The ${what} is in use by another program.`;
  return `The ${what} cannot be used.`;
}

async function only(what, open) {
  if (!navigator.mediaDevices)
    throw new Error(`A browser gives the ${what} only to pages that come by https.`);
  try {
    return (await open()).getTracks()[0];
  } catch (error) {
    throw Object.assign(new Error(words(error, what)), { name: error.name });
  }
}

const chosen = (id) => (id ? { deviceId: { exact: id } } : {});

export function openCamera(id) {
  return only('camera', () => navigator.mediaDevices.getUserMedia({ video: { ...CAMERA, ...chosen(id) } }));
}

export function openMicrophone(id) {
  return only('microphone', () => navigator.mediaDevices.getUserMedia({ audio: { ...chosen(id) } }));
}

export function openScreen() {
  return only('screen', () => navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } }));
}

// The devices of a kind ("videoinput", "audioinput"); without a permission the browser tells no names.
export async function devices(kind) {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all
    .filter((one) => one.kind === kind && one.deviceId)
    .map((one, i) => ({ id: one.deviceId, label: one.label || `${i + 1}` }));
}
