// Cameras, microphones and screens: asking for them, and saying in words why one cannot be had.

const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 24, max: 30 } };

function words(error, what) {
  if (error.name === 'NotAllowedError')
    return `Access to the ${what} is blocked. Allow it for this site in the browser's settings.`;
  if (error.name === 'NotFoundError' || error.name === 'OverconstrainedError') return `No ${what} found.`;
  if (error.name === 'NotReadableError') return `Another app is using the ${what}.`;
  return `The ${what} can't be used.`;
}

async function only(what, open) {
  if (!navigator.mediaDevices) throw new Error(`Browsers allow the ${what} only on pages served over HTTPS.`);
  try {
    return await open();
  } catch (error) {
    throw Object.assign(new Error(words(error, what)), { name: error.name });
  }
}

const first = async (stream) => (await stream).getTracks()[0];
const chosen = (id) => (id ? { deviceId: { exact: id } } : {});

export function openCamera(id) {
  return only('camera', () =>
    first(navigator.mediaDevices.getUserMedia({ video: { ...CAMERA, ...chosen(id) } })),
  );
}

export function openMicrophone(id) {
  return only('microphone', () => first(navigator.mediaDevices.getUserMedia({ audio: { ...chosen(id) } })));
}

// The track of the picture; where the browser and the user give sound, too, that is its `sound`.
export function openScreen() {
  const wanted = { video: { frameRate: { max: 15 } }, audio: true };
  return only('screen', async () => {
    const stream = await navigator.mediaDevices.getDisplayMedia(wanted);
    const [track] = stream.getVideoTracks();
    const [sound] = stream.getAudioTracks();
    return sound ? Object.assign(track, { sound }) : track;
  });
}

// The devices of a kind ("videoinput", "audioinput"); without a permission the browser tells no names.
export async function devices(kind) {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all
    .filter((one) => one.kind === kind && one.deviceId)
    .map((one, i) => ({ id: one.deviceId, label: one.label || `${i + 1}` }));
}
